//! Passwords that are guessable, and others.

use super::words::{COMMON_PASSWORDS, is_listed};
use super::*;
use crate::domain::user::password::{PasswordPolicy, compared_form};

#[test]
fn the_list_is_sorted_and_each_entry_is_found() {
    let entries: Vec<&str> = COMMON_PASSWORDS.lines().collect();
    assert!(entries.is_sorted_by(|a, b| a < b));
    for entry in &entries {
        assert!(is_listed(entry), "{entry}");
        assert_eq!(compared_form(entry), *entry);
    }
    let at_least = |length: usize| entries.iter().filter(|it| it.chars().count() >= length).count();
    // The numbers that the documents state.
    assert_eq!((entries.len(), at_least(PasswordPolicy::RECOMMENDED_LENGTH)), (36_867, 9_755));
    for known in ["12345678", "password", "iloveyou", "princess", "football", "passwordpassword"] {
        assert!(is_listed(known), "{known}");
    }
    for other in ["", "a", "zzzzzzzzzzzzzzzzzz", "correct horse battery staple"] {
        assert!(!is_listed(other), "{other}");
    }
}

fn is_guessable(text: &str) -> bool {
    is_listed(text) || is_pattern(text)
}

#[test]
fn series_repetitions_and_words_with_them_are_guessable() {
    for text in [
        "123456789012345",
        "0123456789abcdef",
        "98765432109876543210",
        "aaaaaaaaaaaaaaaa",
        "abababababababab",
        "111222333444555",
        "112233445566778899",
        "135791357913579",
        "password12345678",
        "12345678password",
        "passwordpassword",
        "password password",
        "monkeymonkeymonkey",
        "dragon1234567890",
        "qwertyuiopasdfghjkl",
        "qwertyuiop123456",
        "1qaz2wsx3edc4rfv",
        "zaq1xsw2cde3vfr4",
        "q1w2e3r4t5y6u7i8o9",
        "a1b2c3d4e5f6g7h8",
        "!@#$%^&*()!@#$%^",
        "x7!qx7!qx7!qx7!q",
        "password!!!!!!!!",
        "iloveyouiloveyou1",
        "zyxwvutsrqponmlk",
        "가나다라마바사아자차카타파하",
        "йцукенгшщзхфывапр",
        "        x",
        "lovelovelovelove",
        "aaaabbbbccccdddd",
        "qqwweerrttyyuuii",
        "asdfghjkl;'zxcvbnm",
        "monkey-monkey-monkey",
        "batmanbatmanbat",
        "x7!qx7!qx7!",
        "p a s s w o r d 1 2 3",
        "p.a.s.s.w.o.r.d.1.2",
        "monkeymonkeydragondragon",
        "passwordmonkey123",
        "monkeydragonmonkey",
        "correcthorsebatterystaple",
        "thequickbrownfox",
        "пароль123456789",
        "hasło12345678901",
        "31415926535897932384",
        "aa11bb22cc33dd44",
        "q1w2e3r4t5y6q1w2",
        "01011990010119900101",
        "drowssap-9-password",
        "mina.Mina",
    ] {
        assert!(is_guessable(&compared_form(text)), "{text}");
    }
}

#[test]
fn phrases_and_random_texts_are_not() {
    for text in [
        "plum tree at dusk",
        "another password of mine",
        "tr0ub4dor&3x!kq",
        "8 quinzy",
        "a lantern on the pier",
        "V7#kq2!mZp94",
        "나는 자전거를 탄다",
        "monkey dragon wagon",
        "secret-of-mina",
        "x7!q-x7!q-kk",
        "2026-11-29 at noon",
        "engines weave algebra",
        "quartzlanternpivotmosaic",
        "wobblyzeppelinharborfjord",
        "kx9vkx9wquartzbee",
        "f3a9c07b5d21e8f4",
        "\u{d7}\u{10655c}\u{9b}·o\u{90}\u{311da}\u{80}\u{f}",
        "o×·o#o",
        "lantern 4 lanterns",
        "k7w2k9w4k1w8k3w5k7",
    ] {
        assert!(!is_guessable(&compared_form(text)), "{text}");
    }
}

#[test]
fn series_and_repetitions_are_guessable_at_any_length() {
    for (unit, times) in [
        ("a", 65),
        ("ab", 33),
        ("1234567890", 7),
        ("password", 9),
        ("qwertyuiop", 7),
        ("xy", 40),
        ("123", 23),
        ("qwertz", 12),
        ("iloveyou", 9),
        ("abcdefghijklmnopqrstuvwxyz", 3),
        ("1q2w3e4r5t6y7u8i9o0p", 4),
        ("passwordprincess", 5),
        ("!@#$%^&*()", 7),
        ("thequickbrownfoxjumpsoverthelazydog", 2),
        ("비밀번호", 18),
        ("12345678", 9),
        ("monkey-", 11),
        ("йцукен", 12),
        ("1990", 17),
        ("qwertyuiopasdfghjklzxcvbnm", 3),
        ("3141592653589793238462643383279502884197169399375105820974944592307816", 1),
        ("zyxwvutsrqponmlkjihgfedcba9876543210", 2),
        ("0", 256),
        ("x7!q", 20),
        ("welcome2024", 8),
    ] {
        let text = unit.repeat(times);
        assert!(text.chars().count() > 64, "{text}");
        assert!(is_guessable(&compared_form(&text)), "{text}");
    }
    let long = "eleven tired otters rowed to the mill and sang about turnips until dawn broke";
    assert!(!is_guessable(long));
}

#[test]
fn separators_and_the_shift_key_make_no_other_text_of_a_series() {
    for text in [
        "1234-5678-9012-3456",
        "1234 5678 9012 3456",
        "123-456-789-012",
        "3.14159265358979",
        "qwer-tyui-asdf-ghjk",
        "1q2w-3e4r-5t6y-7u8i",
        "!QAZ@WSX#EDC$RFV",
        "一二三四五六七八九十一二三四五",
        "ㄱㄴㄷㄹㅁㅂㅅㅇㅈㅊㅋㅌㅍㅎㅏ",
        "one two three four five",
        "Winter2024Winter2025",
        "1111-2222-3333-4444",
        "0123.4567.8901.2345",
        "9876-5432-1098-7654",
        "12/34/56/78/90/12",
        "123 456 789 012 345",
        "+49 1234567890 12",
        "2.71828182845904",
        "1.41421356237309",
        "(1234) 567-890-123",
        "asdf_ghjk_qwer_tyui",
        "abc-def-ghi-jkl-mno",
        "a1-b2-c3-d4-e5-f6",
        "!@#$-%^&*-()!@-#$%^",
        "ZAQ!XSW@CDE#VFR$",
        "!qaz2wsx#EDC4rfv",
        "q!w@e#r$t%y^u&i*",
        "31.12.1999-31.12.1999",
        "eins-zwei-drei-vier",
        "uno dos tres cuatro",
        "monday tuesday wednesday",
        "winter is coming and",
        "йцук-енгш-щзхъ-фыва",
    ] {
        assert!(is_guessable(&compared_form(text)), "{text}");
    }
}

#[test]
fn words_of_many_languages_with_a_series_are_guessable() {
    for text in [
        "привет1234567890",
        "мойпароль123456789",
        "matkhau1234567890",
        "katasandi123456",
        "sifre1234567890",
        "instagram1234567",
        "tkfkdgotkfkdgo123",
        "пароль1234567890",
        "любовь123456789",
        "parola1234567890",
        "senha1234567890",
        "jelszo1234567890",
        "heslo1234567890",
        "wachtwoord12345",
        "salasana1234567",
        "lösenord1234567",
        "密码1234567890123",
        "nihao1234567890",
        "cinta1234567890",
        "anhyeuem12345678",
        "saranghae123456",
        "dkssud1234567890",
        "habibi123456789",
        "facebook2024!!",
        "netflix20232024",
        "canim1234567890",
        "sifrem2024sifrem",
    ] {
        assert!(is_guessable(&compared_form(text)), "{text}");
    }
}

#[test]
fn digits_and_signs_in_the_place_of_letters_make_no_other_word() {
    for text in [
        "p4$$w0rdp4$$w0rd",
        "p4ssw0rdpr1ncess",
        "1l0v3y0u1l0v3y0u",
        "m0nk3ydr4g0n2024",
        "f00tb4ll12345678",
        "pr1nc3ss12345678",
        "b4tm4n5up3rm4n",
        "dr4g0n!!dr4g0n!!",
        "$un$h1n3$un$h1n3",
        "w3lc0me1234567890",
        "p455w0rt12345678",
        "s3cr3tp4ssw0rd1",
    ] {
        assert!(is_guessable(&compared_form(text)), "{text}");
    }
}

#[test]
fn phrases_that_many_people_know_or_say_are_guessable() {
    for text in [
        "meinpasswort2024",
        "monmotdepasse123",
        "jetaimemonamour",
        "teamomiamorteamo",
        "euteamomuito123",
        "micontraseña2024",
        "maytheforcebewithyou",
        "loremipsumdolor",
        "meingeheimespasswort",
        "ichliebedich2024",
        "meinschatz123456",
        "jetaimemoncoeur",
        "motdepassesecret1",
        "bonjourlafamille",
        "tequieromucho123",
        "miamorteamomucho",
        "micontrasenasecreta",
        "minhasenha2024",
        "euteamomeuamor12",
        "tiamoamoremio2024",
        "lamiapassword123",
        "mijnwachtwoord123",
        "kochamciemisiek1",
        "seniseviyorum2024",
        "ялюблютебя2024",
        "мойсекретныйпароль",
        "akucintakamu2024",
        "tobeornottobethat",
        "onceuponatimeinaland",
        "twinkletwinklelittle",
        "사랑해요우리가족2024",
    ] {
        assert!(is_guessable(&compared_form(text)), "{text}");
    }
}

#[test]
fn phrases_of_ones_own_are_accepted_in_any_language() {
    for text in [
        "mein grüner Hut fliegt",
        "trois chats dorment au soleil",
        "seven geese under 4 bridges",
        "Kaffee-um-halb-9",
        "зелёный чайник на крыше",
        "tea at 17:45, no sugar",
        "la vaca lee 3 libros",
        "blue-kettle-northwind",
        "gluecklicherUhu42Regen",
        "4711 am Rhein im Mai",
        "two owls & a tuba",
        "correct pony battery paste",
        "paperclipvolcanoharp",
        "사과 세 개와 우산",
        "銀河鉄道の朝ごはん",
        "purple-monkey-dishwasher-kite",
        "8f1e-22ab-c09d-71fe",
        "winter ate my yellow boots",
        "velvetcactusmarimba",
        "vX9-qL2m-Tz7p-Rw4k",
    ] {
        assert!(!is_guessable(&compared_form(text)), "{text}");
    }
}
