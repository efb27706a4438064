//! Values of a `.env` file.

use std::collections::HashMap;

use super::fault::ConfigFault;
use super::names::is_setting;

/// Special characters of `.env` files, with substitutes from the private use area, which no setting
/// has: with them a file is read without variables and escapes.
const SPECIAL: [(char, char); 2] = [('$', '\u{f8ff}'), ('\\', '\u{f8fe}')];

/// Returns the values of a `.env` file. In some of its quotes `$NAME` is a variable and `\n` a line
/// feed, and a password with one would become another: where that changes a setting, it is a fault.
pub(super) fn read_dot_env(text: &str) -> (HashMap<String, String>, Vec<ConfigFault>) {
    // Some editors begin a file with this.
    let text = text.trim_start_matches('\u{feff}');
    let as_written = SPECIAL.iter().fold(text.to_owned(), |text, (special, stand_in)| {
        text.replace(*special, &stand_in.to_string())
    });
    let meant = |written: String| {
        SPECIAL.iter().fold(written, |text, (special, stand_in)| {
            text.replace(*stand_in, &special.to_string())
        })
    };
    let lines = dotenvy::from_read_iter(text.as_bytes());
    let (mut values, mut faults) = (HashMap::new(), Vec::new());
    for (line, as_written) in lines.zip(dotenvy::from_read_iter(as_written.as_bytes())) {
        match (line, as_written) {
            (Ok((name, value)), Ok((_, written))) if value == meant(written.clone()) => {
                values.insert(name, value);
            }
            (Ok((name, _)), _) | (Err(_), Ok((name, _))) if is_setting(&name) => {
                faults.push(ConfigFault::new(
                    &name,
                    "has a `$` or a `\\` in .env, which mean something else there: put the value as it is \
                     meant into single quotes",
                ));
            }
            (Err(_), Err(_)) => faults.push(ConfigFault::new(
                ".env",
                "holds a line that is not NAME=value (a value with spaces stands in quotes)",
            )),
            // Not ours.
            _ => {}
        }
    }
    (values, faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_special_stands_for_itself_or_is_a_fault() {
        let secret = "HALLPASS_SECRET";
        for (written, value) in [
            ("'pa$$word $HOME ${X}'", Some("pa$$word $HOME ${X}")),
            ("plain # costs $5", Some("plain")),
            ("\"plain\"", Some("plain")),
            ("pa$word", None),
            ("pa$$word", None),
            ("password$", None),
            ("${HOME}", None),
            ("\"pa$word\"", None),
            ("\"pa$word yes\"", None),
            ("pa\\$word", None),
            ("pa\\nword", None),
            ("\"pa\\\\word\"", None),
            ("pa\\dword", None),
            ("'pa\\word\\n'", Some("pa\\word\\n")),
            ("pa\\$wo$rd", None),
            ("'a'$b", None),
        ] {
            let text = format!("# $5\nA=1\n{secret}={written}\nexport HALLPASS_BIND='$'\n");
            let (values, faults) = read_dot_env(&text);
            assert_eq!(values.get(secret).map(String::as_str), value, "{written}");
            assert_eq!(values["HALLPASS_BIND"], "$");
            let names: Vec<&str> = faults.iter().map(|fault| fault.name.as_str()).collect();
            assert_eq!(names.is_empty(), value.is_some(), "{written}");
            assert!(names.iter().all(|name| *name == secret), "{names:?}");
        }
    }

    #[test]
    fn other_programs_may_use_variables_in_the_same_file() {
        let (values, faults) = read_dot_env("URL=http://$HOST\nHALLPASS_LOG=info\n");
        assert!(faults.is_empty());
        assert_eq!(values["HALLPASS_LOG"], "info");
        let (_, faults) = read_dot_env("no setting\nHALLPASS_LOG='\n");
        assert!(faults.iter().all(|fault| fault.name == ".env") && faults.len() == 2, "{faults:?}");
    }
}
