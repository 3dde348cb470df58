//! Goal 8 on a real file system whose device fails: ext4 on a loop device on a file that this process serves by FUSE, and
//! whose writes, and perhaps reads, begin to fail.

use std::ffi::OsStr;
use std::ops::Range;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, Generation, INodeNo, LockOwner,
    OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyWrite, Request, WriteFlags,
};

use crate::process::{
    Checker, Child, PATIENCE, Told, can_mount, clean_leftovers, command, disk_dir, run as run_tool, tool_missing,
};
use crate::support::{Rng, Suite, skip};

const BYTES: usize = 64 << 20;
const TTL: Duration = Duration::from_secs(1);
const IMAGE: INodeNo = INodeNo(2);

/// What the device does.
#[derive(Default)]
struct Switch {
    /// Writes that fail from now on.
    writes: AtomicI64,
    reads: AtomicI64,
    struck: AtomicU64,
}

impl Switch {
    fn strikes(&self, calls: &AtomicI64) -> bool {
        let strikes =
            calls.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| (left > 0).then_some(left - 1)).is_ok();
        self.struck.fetch_add(u64::from(strikes), Ordering::SeqCst);
        strikes
    }
}

/// A file system with one file, in memory.
struct Image {
    bytes: Mutex<Vec<u8>>,
    switch: Arc<Switch>,
}

fn attr(ino: INodeNo) -> FileAttr {
    let is_image = ino == IMAGE;
    FileAttr {
        ino,
        size: if is_image { BYTES as u64 } else { 0 },
        blocks: if is_image { BYTES as u64 / 512 } else { 0 },
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: if is_image { FileType::RegularFile } else { FileType::Directory },
        perm: 0o755,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        flags: 0,
        blksize: 4096,
    }
}

impl Filesystem for Image {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if name == "image" { reply.entry(&TTL, &attr(IMAGE), Generation(0)) } else { reply.error(Errno::ENOENT) }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&TTL, &attr(ino));
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        if self.switch.strikes(&self.switch.reads) {
            return reply.error(Errno::EIO);
        }
        let bytes = self.bytes.lock().expect("no panic under the lock");
        let from = BYTES.min(offset as usize);
        reply.data(&bytes[from..BYTES.min(from + size as usize)]);
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        if self.switch.strikes(&self.switch.writes) {
            return reply.error(Errno::EIO);
        }
        let mut bytes = self.bytes.lock().expect("no panic under the lock");
        let from = offset as usize;
        match bytes.get_mut(from..from + data.len()) {
            Some(place) => place.copy_from_slice(data),
            None => return reply.error(Errno::ENOSPC),
        }
        reply.written(data.len() as u32);
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.ok();
    }
}

/// Directory, FUSE, loop device and ext4, one on top of the other. Dropping it takes all of them down.
struct Device {
    root: tempfile::TempDir,
    served: Option<BackgroundSession>,
    device: String,
    mounted: bool,
    switch: Arc<Switch>,
}

impl Device {
    fn new() -> Result<Device, String> {
        let root = disk_dir();
        let dirs = [root.path().join("fuse"), root.path().join("mounted")];
        dirs.iter().for_each(|dir| std::fs::create_dir(dir).expect("a directory"));
        let switch = Arc::new(Switch::default());
        let image = Image { bytes: Mutex::new(vec![0; BYTES]), switch: switch.clone() };
        let served =
            fuser::spawn_mount(image, &dirs[0], &Config::default()).map_err(|error| format!("FUSE: {error}"))?;
        let mut device = Device { root, served: Some(served), device: String::new(), mounted: false, switch };
        let found = run_tool(Command::new("losetup").args(["-f", "--show"]).arg(dirs[0].join("image")));
        device.device = String::from_utf8_lossy(&found.stdout).trim().to_owned();
        run_tool(Command::new("mkfs.ext4").args(["-q", "-F", &device.device]));
        device.mount();
        Ok(device)
    }

    fn dir(&self) -> PathBuf {
        self.root.path().join("mounted")
    }

    fn mount(&mut self) {
        run_tool(Command::new("mount").args(["-t", "ext4", &self.device]).arg(self.dir()));
        self.mounted = true;
    }

    /// The device works again, and the file system begins anew from what is on it.
    fn mount_again(&mut self) {
        run_tool(Command::new("umount").arg(self.dir()));
        self.mounted = false;
        self.switch.writes.store(0, Ordering::SeqCst);
        self.switch.reads.store(0, Ordering::SeqCst);
        run_tool(Command::new("blockdev").args(["--flushbufs", &self.device]));
        self.mount();
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.switch.writes.store(0, Ordering::SeqCst);
        self.switch.reads.store(0, Ordering::SeqCst);
        if self.mounted {
            let _ = Command::new("umount").arg(self.dir()).status();
        }
        if !self.device.is_empty() {
            let _ = Command::new("losetup").args(["-d", &self.device]).status();
        }
        drop(self.served.take());
    }
}

/// One device for each seed, that fails under load: for ever, or for a few calls only.
pub fn run(seeds: Range<u64>, suite: &mut Suite) {
    clean_leftovers();
    for seed in seeds {
        let mut rng = Rng::new(seed);
        let mut device = Device::new().expect("a device");
        let store = device.dir().join("store");
        let mut checker = Checker::new(&store);
        let child = Child::spawn(command("load", &store, seed));
        let acks = rng.within(1, 100) as usize;
        assert!(child.wait_for("ack", acks, PATIENCE), "seed {seed}: no acknowledgement");
        let from = child.heard();
        let for_ever = rng.chance(50);
        let calls = if for_ever { i64::MAX } else { rng.within(1, 6) as i64 };
        if rng.chance(30) {
            device.switch.reads.store(calls, Ordering::SeqCst);
        }
        device.switch.writes.store(calls, Ordering::SeqCst);
        // Whoever waits for a sync is told; a few failed calls may hit nothing of ours.
        let told = child.wait_from(from, "no ", 1, if for_ever { PATIENCE } else { Duration::from_millis(300) });
        assert!(told || !for_ever, "seed {seed}: the device fails, and no one is told");
        let dead = child.kill();
        // Also what was acknowledged while it failed is on the device.
        checker.heard(Told::of(seed, &dead, usize::MAX));
        device.mount_again();
        suite.fired(device.switch.struck.load(Ordering::SeqCst));
        checker.look();
        checker.look_closely();
        suite.ran(1);
    }
}

#[test]
fn a_failing_device_costs_nothing_acknowledged() {
    let name = "a failing device under ext4";
    let works = || {
        can_mount()?;
        match tool_missing(&["mkfs.ext4", "losetup", "blockdev"]) {
            Some(reason) => Err(reason),
            None => Device::new().map(drop),
        }
    };
    if let Err(reason) = works() {
        return skip(name, "8", &reason);
    }
    let mut suite = Suite::begin(name, "8");
    run(0..16, &mut suite);
    suite.finish();
}
