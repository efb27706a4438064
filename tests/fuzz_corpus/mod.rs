//! The corpus of the fuzzer through the functions that it calls, without it: every file as it is,
//! cut short at every length, and with every byte changed.

use std::fs;
use std::path::Path;

#[path = "../../fuzz/src/lib.rs"]
mod readers;

/// Says whether it accepted anything.
type Reader = fn(&[u8]) -> bool;

const READERS: [(&str, Reader); 9] = [
    ("access_token", readers::access_token),
    ("django_token", readers::django_token),
    ("json_body", readers::json_body),
    ("django_body", readers::django_body),
    ("names", readers::names),
    ("accept_language", readers::accept_language),
    ("smtp_url", readers::smtp_url),
    ("forwarded_for", readers::forwarded_for),
    ("browsers", readers::browsers),
];

#[test]
fn no_reader_stumbles_over_the_corpus_or_what_is_near_it() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    assert_eq!(fs::read_dir(&corpus).unwrap().count(), READERS.len(), "a folder for each");
    for (name, reader) in READERS {
        let files: Vec<_> = fs::read_dir(corpus.join(name)).unwrap().collect();
        assert!(files.len() > 10, "{name} has {} files", files.len());
        let mut accepted = 0;
        for file in files {
            let data = fs::read(file.unwrap().path()).unwrap();
            accepted += usize::from(reader(&data));
            for place in 0..data.len() {
                reader(&data[..place]);
                let mut changed = data.clone();
                changed[place] ^= 1 << (place % 8);
                reader(&changed);
            }
        }
        assert!(accepted > 0, "{name} refuses every file: what is behind it is not reached");
    }
}
