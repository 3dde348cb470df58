//! The README says what the code does: its limits, its commands and its links are checked against what is there.

use std::path::Path;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The value of a constant of src/limits.rs.
fn limit(name: &str) -> u64 {
    constant("src/limits.rs", &format!("pub const {name}"))
}

/// The value of a constant that is a number or a number shifted left.
fn constant(file: &str, declared: &str) -> u64 {
    let text = read(file);
    let (_, rest) = text.split_once(&format!("{declared}: ")).unwrap_or_else(|| panic!("there is no {declared}"));
    let (_, rest) = rest.split_once(" = ").unwrap();
    let (value, _) = rest.split_once(';').unwrap();
    let number = |text: &str| text.trim().replace('_', "").parse::<u64>().unwrap();
    match value.split_once("<<") {
        Some((base, shift)) => number(base) << number(shift),
        None => number(value),
    }
}

/// 1024 as 1,024.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[test]
fn the_table_of_limits_is_what_the_code_has() {
    let mib = |name| limit(name) >> 20;
    let rows = [
        format!("| dataset name | 1 to {} bytes |", grouped(limit("MAX_DATASET_BYTES"))),
        format!("| entity id | 1 to {} bytes |", grouped(limit("MAX_ENTITY_BYTES"))),
        format!(
            "| payload | {} MiB by default, {} MiB at most, and no more than a commit |",
            mib("DEFAULT_MAX_PAYLOAD_BYTES"),
            mib("MAX_PAYLOAD_BYTES"),
        ),
        format!(
            "| commit | 1/16 of the memory option (16 MiB by default) and 64 KiB, at most {} GiB and {} changes; each change counts {} bytes besides, each run of changes to one dataset {} |",
            limit("MAX_BODY_BYTES") >> 30,
            grouped(limit("MAX_COMMIT_CHANGES")),
            constant("src/tail.rs", "const ENTRY_OVERHEAD_BYTES"),
            constant("src/tail.rs", "const DATASET_OVERHEAD_BYTES"),
        ),
        format!("| origin, idempotency id, consumer name | {} bytes each |", limit("MAX_ORIGIN_BYTES")),
        format!("| datasets in one `changes_many` or `watch` | {} |", grouped(limit("MAX_DATASETS_PER_CALL"))),
        format!("| memory option | {} MiB at least, 256 MiB by default |", mib("MIN_MEMORY_BYTES")),
        format!("| lineages remembered (restores and unclean stops) | {} |", limit("MAX_LINEAGES")),
    ];
    let readme = read("README.md");
    for row in rows {
        assert!(readme.contains(&row), "README.md lacks the row\n{row}");
    }
    assert_eq!(limit("MAX_ORIGIN_BYTES"), limit("MAX_IDEMPOTENCY_ID_BYTES"));
    assert_eq!(limit("MAX_ORIGIN_BYTES"), limit("MAX_CONSUMER_BYTES"));
}

#[test]
fn the_commands_that_are_named_exist() {
    let (readme, makefile) = (read("README.md"), read("Makefile"));
    let in_code = ["\nmake ", "`make "].into_iter().flat_map(|start| readme.split(start).skip(1));
    let named = in_code.map(|rest| rest.split(|c: char| !c.is_ascii_lowercase()).next().unwrap());
    let mut count = 0;
    for target in named {
        assert!(makefile.contains(&format!("\n{target}:")), "there is no `make {target}`");
        count += 1;
    }
    assert!(count >= 4, "the README names commands");
}

#[test]
fn links_lead_somewhere() {
    for page in ["README.md", "docs/architecture.md"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(page).parent().unwrap().to_path_buf();
        for rest in read(page).split("](").skip(1) {
            let target = rest.split(')').next().unwrap();
            let there = target.starts_with("https://") || folder.join(target).exists();
            assert!(there, "{page} links to {target}, which is not there");
        }
    }
}
