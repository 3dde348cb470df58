use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};

const DIR: &str = "TIDELOG_CHILD_DIR";

/// Another process that runs one test of this binary with a directory to work on. It says lines; what it needs to be
/// told comes through its standard input.
pub struct Child {
    process: std::process::Child,
    input: ChildStdin,
    output: BufReader<std::process::ChildStdout>,
}

/// In a child: the directory it was given. In an ordinary run: nothing, and the test has nothing to do.
pub fn child_dir() -> Option<PathBuf> {
    std::env::var_os(DIR).map(PathBuf::from)
}

impl Child {
    /// Runs the test `name` (its whole path) in another process, as another user if one is named.
    pub fn run(name: &str, dir: &Path, user: Option<u32>) -> std::io::Result<Child> {
        let mut program = std::env::current_exe()?;
        let reachable = tempfile::tempdir()?;
        if user.is_some() {
            // The binary may lie where only its owner can go.
            std::fs::set_permissions(reachable.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
            let copy = reachable.path().join("it");
            std::fs::copy(&program, &copy)?;
            program = copy;
        }
        let mut command = Command::new(program);
        command.args([name, "--exact", "--nocapture", "--test-threads=1"]).env(DIR, dir);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).current_dir("/");
        if let Some(user) = user {
            use std::os::unix::process::CommandExt;
            command.uid(user).gid(user);
        }
        let mut process = command.spawn()?;
        let input = process.stdin.take().expect("its input");
        let output = BufReader::new(process.stdout.take().expect("its output"));
        Ok(Child { process, input, output })
    }

    /// The rest of its next line that has `mark` in it.
    pub fn said(&mut self, mark: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            let read = self.output.read_line(&mut line).expect("its output");
            assert_ne!(read, 0, "the child ended without saying '{mark}'");
            if let Some((_, rest)) = line.split_once(mark) {
                return rest.trim().to_owned();
            }
        }
    }

    /// Lets it go on to its end, which must be a good one.
    pub fn finish(mut self) {
        match self.input.write_all(b"go on\n") {
            // It waits for nothing and has ended: how, its status tells.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
            told => told.expect("the child listens"),
        }
        drop(self.input);
        std::io::copy(&mut self.output, &mut std::io::sink()).expect("its output");
        assert!(self.process.wait().expect("its end").success(), "the child failed");
    }
}
