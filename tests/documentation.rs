//! The documents that no program prints are held to the program all the same.

use hallpass::http::code::Code;

#[test]
fn every_error_code_is_explained_with_its_status() {
    let page = include_str!("../docs/errors.md");
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    for code in Code::ALL {
        let row = format!("| `{}` | {} |", code.name(), code.status().as_u16());
        assert!(rows.iter().any(|line| line.starts_with(&row)), "docs/errors.md lacks: {row}");
    }
    assert_eq!(rows.len(), Code::ALL.len(), "docs/errors.md explains codes that are never sent");
}
