//! A source file as the rules look at it: its code with comments, strings and tests blanked out.

/// A file, read for the rules.
#[derive(Debug)]
pub struct Source {
    /// Its path from the root, with `/`.
    pub path: String,
    text: String,
    /// The text with comments and the inside of literals as spaces, line by line the same, up to the tests.
    code: String,
}

impl Source {
    pub fn new(path: String, text: &str) -> Source {
        let mut code = blank(text);
        if let Some(tests) = code.find("#[cfg(test)]\nmod tests") {
            code.truncate(tests);
        }
        Source { path, text: text.into(), code }
    }

    /// The module of the crate's root that the file belongs to: `log` for src/log/read.rs and src/log.rs.
    pub fn module(&self) -> &str {
        self.module_path().first().copied().unwrap_or("")
    }

    /// Whether it holds tests only.
    pub fn is_test(&self) -> bool {
        self.path.starts_with("tests/") || self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    pub fn lines(&self) -> usize {
        self.text.lines().count()
    }

    pub fn lines_before_tests(&self) -> usize {
        self.code.lines().count()
    }

    /// Line number, blanked code and full text of every line before the tests.
    pub fn code_lines(&self) -> impl Iterator<Item = (usize, &str, &str)> {
        let lines = if self.is_test() { 0 } else { usize::MAX };
        self.code.lines().zip(self.text.lines()).take(lines).enumerate().map(|(at, (code, text))| (at + 1, code, text))
    }

    /// The names after `mod` at the start of a line, unless the module is for tests.
    pub fn declared_modules(&self) -> Vec<String> {
        let mut before = "";
        let declared = |line| {
            let for_tests = std::mem::replace(&mut before, line) == "#[cfg(test)]";
            let rest = line.strip_prefix("pub ").unwrap_or(line).strip_prefix("mod ")?;
            rest.strip_suffix(';').filter(|_| !for_tests).map(String::from)
        };
        self.code.lines().filter_map(declared).collect()
    }

    /// Lines on which `name` stands as a whole word.
    pub fn lines_naming(&self, name: &str) -> Vec<usize> {
        let names = |line: &str| line.match_indices(name).any(|(at, _)| is_word(line, at, name.len()));
        self.code.lines().enumerate().filter(|(_, line)| names(line)).map(|(at, _)| at + 1).collect()
    }

    /// The root modules that the code names, with the line: after `crate::`, or after enough `super::`.
    pub fn imports(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        if self.is_test() {
            return found;
        }
        let depth = self.module_path().len();
        for (at, _) in self.code.match_indices("crate::") {
            if is_word(&self.code, at, "crate".len()) && !self.code[..at].ends_with("::") {
                self.names_after(at + "crate::".len(), &mut found);
            }
        }
        let to_root = "super::".repeat(depth);
        for (at, _) in self.code.match_indices(&to_root) {
            let goes_on = self.code[at + to_root.len()..].starts_with("super::");
            if depth > 0 && !goes_on && is_word(&self.code, at, "super".len()) && !self.code[..at].ends_with("super::")
            {
                self.names_after(at + to_root.len(), &mut found);
            }
        }
        found.sort();
        found.dedup();
        found
    }

    /// The path of the file's own module below the root of the crate.
    fn module_path(&self) -> Vec<&str> {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let mut parts: Vec<&str> = inside.split('/').collect();
        let file = parts.pop().map_or("", |file| file.trim_end_matches(".rs"));
        if !matches!(file, "mod" | "lib" | "main") {
            parts.push(file);
        }
        parts
    }

    /// The first segment of each path at `at`, which may be a list in braces.
    fn names_after(&self, at: usize, found: &mut Vec<(usize, String)>) {
        let line = self.code[..at].matches('\n').count() + 1;
        let rest = &self.code[at..];
        let Some(list) = rest.strip_prefix('{') else {
            found.push((line, first_word(rest)));
            return;
        };
        let (mut depth, mut starts) = (0, true);
        for (offset, letter) in list.char_indices() {
            match letter {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => starts = true,
                _ if starts && !letter.is_whitespace() => {
                    starts = false;
                    found.push((line, first_word(&list[offset..])));
                }
                _ => {}
            }
        }
    }
}

fn is_letter(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|&letter| is_letter(letter)).collect()
}

fn is_word(text: &str, at: usize, len: usize) -> bool {
    !text[..at].ends_with(is_letter) && !text[at + len..].starts_with(is_letter)
}

/// The text with comments and the inside of literals replaced by spaces; line ends stay.
fn blank(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < letters.len() {
        let end = token_end(&letters, at);
        match end {
            Some(end) => {
                out.extend(letters[at..end].iter().map(|&letter| if letter == '\n' { '\n' } else { ' ' }));
                at = end;
            }
            None => {
                out.push(letters[at]);
                at += 1;
            }
        }
    }
    out
}

/// Where the comment or literal ends that begins at `at`; none if none does.
fn token_end(letters: &[char], at: usize) -> Option<usize> {
    let rest = &letters[at..];
    let after_word = at > 0 && is_letter(letters[at - 1]);
    match rest {
        ['/', '/', ..] => Some(at + rest.iter().position(|&letter| letter == '\n').unwrap_or(rest.len())),
        ['/', '*', ..] => Some(at + block_comment(rest)),
        ['"', ..] => Some(at + quoted(rest, '"')),
        ['r', '"' | '#', ..] if !after_word => raw_string(rest).map(|len| at + len),
        ['b', 'r', '"' | '#', ..] if !after_word => raw_string(&rest[1..]).map(|len| at + 1 + len),
        // A character, not a lifetime: it is escaped, or closed after one letter.
        ['\'', '\\', ..] | ['\'', _, '\'', ..] => Some(at + quoted(rest, '\'')),
        _ => None,
    }
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            letter if letter == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of a raw string; none if this is something else, like the name `r#type`.
fn raw_string(rest: &[char]) -> Option<usize> {
    let hashes = rest[1..].iter().take_while(|&&letter| letter == '#').count();
    if rest.get(1 + hashes) != Some(&'"') {
        return None;
    }
    let body = 2 + hashes;
    for at in body..rest.len() {
        let closes =
            rest[at] == '"' && rest[at + 1..].iter().take(hashes).filter(|&&letter| letter == '#').count() == hashes;
        if closes {
            return Some(at + 1 + hashes);
        }
    }
    Some(rest.len())
}
