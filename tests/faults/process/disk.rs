//! Real file systems on files of their own: mounted, cut off from their power, mounted again; and small ones to fill.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Ext4,
    Xfs,
}

impl Kind {
    /// What makes one, with its arguments, and the size of the device in bytes.
    fn maker(self) -> (&'static [&'static str], u64) {
        match self {
            Kind::Ext4 => (&["mkfs.ext4", "-q", "-F"], 192 << 20),
            // It refuses less.
            Kind::Xfs => (&["mkfs.xfs", "-q", "-f"], 304 << 20),
        }
    }
}

/// Why file systems cannot be mounted here, if they cannot.
pub fn can_mount() -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("only root can mount file systems".into());
    }
    if !Path::new("/dev/loop-control").exists() {
        return Err("there is no /dev/loop-control".into());
    }
    let dir = disk_dir();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "none"]).arg(dir.path()).output();
    match mounted {
        Ok(output) if output.status.success() => {
            run(Command::new("umount").arg(dir.path()));
            Ok(())
        }
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(format!("mount: {error}")),
    }
}

/// Why a tool cannot be used, if it cannot.
pub fn tool_missing(tools: &[&str]) -> Option<String> {
    let is_there =
        |tool: &&str| ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].iter().any(|dir| Path::new(dir).join(tool).exists());
    let missing: Vec<&str> = tools.iter().filter(|tool| !is_there(tool)).copied().collect();
    (!missing.is_empty()).then(|| format!("there is no {} (scripts/setup-tests installs it)", missing.join(", ")))
}

/// Runs a tool that must succeed.
pub fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    output
}

/// A file system on a loop device over a sparse file in memory. Dropping it unmounts and removes everything.
pub struct Disk {
    root: tempfile::TempDir,
    mounted: bool,
}

impl Disk {
    /// A fresh one, mounted.
    pub fn new(kind: Kind) -> Disk {
        let root = disk_dir();
        let mut disk = Disk { root, mounted: false };
        let (maker, bytes) = kind.maker();
        let image = std::fs::File::create(disk.image()).expect("an image");
        image.set_len(bytes).expect("a sparse image");
        drop(image);
        run(Command::new(maker[0]).args(&maker[1..]).arg(disk.image()));
        std::fs::create_dir(disk.dir()).expect("a place to mount it");
        disk.mount();
        disk
    }

    fn image(&self) -> PathBuf {
        self.root.path().join("image")
    }

    /// Where it is mounted.
    pub fn dir(&self) -> PathBuf {
        self.root.path().join("mounted")
    }

    fn mount(&mut self) {
        // `mount` sets the loop device up, and unmounting takes it down.
        run(Command::new("mount").args(["-o", "loop"]).arg(self.image()).arg(self.dir()));
        self.mounted = true;
    }

    /// The power goes: nothing is written to the device any more. With `flush`, the file system's own log goes there
    /// first, without the data it speaks of.
    pub fn cut_power(&self, flush: bool) {
        let how = if flush { "shutdown -f" } else { "shutdown" };
        run(Command::new("xfs_io").args(["-x", "-c", how]).arg(self.dir()));
    }

    /// And it comes back. Nobody may have a file of it open.
    pub fn restore_power(&mut self) {
        run(Command::new("umount").arg(self.dir()));
        self.mounted = false;
        self.mount();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted {
            let _ = Command::new("umount").arg("-l").arg(self.dir()).status();
        }
    }
}

const PREFIX: &str = "tidelog-disk-";

/// A directory in memory for a disk, by whose name [`clean_leftovers`] tells whose it is.
pub fn disk_dir() -> tempfile::TempDir {
    let prefix = format!("{PREFIX}{}-", std::process::id());
    tempfile::Builder::new().prefix(&prefix).tempdir_in("/dev/shm").expect("room in /dev/shm")
}

/// Whether a path is a disk's, of a process that is gone.
fn is_left_over(path: &str) -> bool {
    let id = path.split_once(PREFIX).and_then(|(_, rest)| rest.split_once('-'));
    id.is_some_and(|(id, _)| !Path::new("/proc").join(id).exists())
}

/// Unmounts and removes what a run left behind that was killed itself. Once, before the first disk.
pub fn clean_leftovers() {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    for mounted in mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|path| is_left_over(path)) {
        let _ = Command::new("umount").arg("-l").arg(mounted).status();
    }
    for entry in std::fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
        if is_left_over(&entry.file_name().to_string_lossy()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// A file system in memory with room for a few MiB, and a file that takes all the room there is.
pub struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    pub fn new(mib: u32) -> SmallDisk {
        let root = disk_dir();
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "none"]).arg(root.path()));
        SmallDisk(root)
    }

    pub fn dir(&self) -> &Path {
        self.0.path()
    }

    /// Takes all room that is left, to the last page.
    pub fn fill(&self) {
        let ballast = std::fs::File::options().create(true).append(true).open(self.0.path().join("ballast"));
        // On a disk that is full to the last page there may be no room for the name of it.
        let Ok(mut ballast) = ballast else { return };
        let block = vec![1; 64 << 10];
        for len in [64 << 10, 4 << 10] {
            while ballast.write_all(&block[..len]).is_ok() {}
        }
    }

    /// Gives the room back.
    pub fn free(&self) {
        match std::fs::remove_file(self.0.path().join("ballast")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
            _ => {}
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}
