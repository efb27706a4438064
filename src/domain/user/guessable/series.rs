//! Series: adjacent keys, alphabets and numbers, well-known phrases, dates and repetitions.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization as _;

/// Characters that belong to a series only from this length on.
pub(super) const SHORTEST_RUN: usize = 3;
/// Shortest part of a well-known phrase that counts.
const SHORTEST_RECITED: usize = 8;
/// Number of characters by which a phrase is looked up.
const RECITED_START: usize = 4;
/// Shortest text of interleaved series that may have other characters.
const LONG_INTERLEAVED: usize = 12;

/// Adjacent keys, and other series. Each continues at its start.
static SERIES: LazyLock<Vec<Vec<char>>> = LazyLock::new(|| {
    let rows = [
        "1234567890",
        "`1234567890-=",
        "!@#$%^&*()",
        "!\"§$%&/()=",
        "abcdefghijklmnopqrstuvwxyz",
        "qwertyuiop",
        "qwertyuiop[]\\",
        "asdfghjkl",
        "asdfghjkl;'",
        "zxcvbnm",
        "zxcvbnm,./",
        "qwertzuiopü",
        "asdfghjklöä",
        "yxcvbnm",
        "azertyuiop",
        "qsdfghjklm",
        "wxcvbn",
        "1qaz",
        "2wsx",
        "3edc",
        "4rfv",
        "5tgb",
        "6yhn",
        "7ujm",
        "8ik,",
        "9ol.",
        "0p;/",
        "1qay",
        "2wsx",
        "1aqw",
        "2zsx",
        "741852963",
        "147258369",
        "13579",
        "24680",
        "йцукенгшщзхъ",
        "фывапролджэ",
        "ячсмитьбю",
        "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
        "ㅂㅈㄷㄱㅅㅛㅕㅑㅐㅔ",
        "ㅁㄴㅇㄹㅎㅗㅓㅏㅣ",
        "ㅋㅌㅊㅍㅠㅜㅡ",
        "가나다라마바사아자차카타파하",
        "ㄱㄴㄷㄹㅁㅂㅅㅇㅈㅊㅋㅌㅍㅎ",
        "ㅏㅑㅓㅕㅗㅛㅜㅠㅡㅣ",
        "一二三四五六七八九十",
        "零一二三四五六七八九",
        "甲乙丙丁戊己庚辛壬癸",
        "いろはにほへとちりぬるをわかよたれそつねならむ",
        "あかさたなはまやらわ",
        "θωερτυιοπ",
        "ςερτυθιοπ",
        "ασδφγηξκλ",
        "ζχψωβνμ",
        "ابجدهوزحطيكلمنسعفصقرشت",
        "اأبتثجحخدذرزسشصضطظعغفقكلمنهوي",
        "אבגדהוזחטיכלמנסעפצקרשת",
        "ضصثقفغعهخحجد",
    ];
    rows.iter().map(|row| row.nfkc().collect()).collect()
});

/// Those of [`SERIES`] that contain a character.
static SERIES_WITH: LazyLock<HashMap<char, Vec<&[char]>>> = LazyLock::new(|| {
    let mut with: HashMap<char, Vec<&[char]>> = HashMap::new();
    for row in &*SERIES {
        for character in row.iter().copied().collect::<HashSet<char>>() {
            with.entry(character).or_default().push(row);
        }
    }
    with
});

/// Digits, numbers, calendars and well-known phrases, without separators.
const RECITED: [&str; 44] = [
    "3141592653589793238462643383279502884197169399375105820974944592307816406286208998628034825342117067",
    "2718281828459045235360287471352662497757247093699959574966967627724076630353547594571382178525166427",
    "1414213562373095048801688724209698078569671875376948073176679737990732478462107038850387534327641573",
    "1618033988749894848204586834365638117720309179805762862135448622705260462818902449707207204189391137",
    "1123581321345589144233377610987159725844181676510946",
    "248163264128256512102420484096819216384327686553613107226214452428810485762097152",
    "2357111317192329313741434753596167717379838997",
    "1491625364964811001211441691962252562893243614004414845295766256767297848419009611024",
    "thequickbrownfoxjumpsoverthelazydog",
    "maytheforcebewithyoualways",
    "loremipsumdolorsitametconsecteturadipiscingelitseddoeiusmodtempor",
    "tobeornottobethatisthequestion",
    "youllneverwalkalone",
    "thereisnoplacelikehome",
    "winteriscomingandthenightisdark",
    "onceuponatimeinalandfarfaraway",
    "happybirthdaytoyou",
    "twinkletwinklelittlestarhowiwonderwhatyouare",
    "maryhadalittlelambitsfleecewaswhiteassnow",
    "ourfatherwhoartinheavenhallowedbethyname",
    "padrenuestroqueestasenelcielo",
    "vaterunserderdubistimhimmel",
    "alphabravocharliedeltaechofoxtrotgolfhotelindiajuliettkilolimamikenovemberoscarpapaquebecromeosierra",
    "alphabetagammadeltaepsilonzetaetathetaiotakappalambdamu",
    "onetwothreefourfivesixseveneightnineteneleventwelve",
    "einszweidreivierfünfsechssiebenachtneunzehnelfzwölf",
    "einszweidreivierfuenfsechssiebenachtneunzehn",
    "undeuxtroisquatrecinqsixsepthuitneufdixonzedouze",
    "unodostrescuatrocincoseissieteochonuevediezoncedoce",
    "umdoistresquatrocincoseisseteoitonovedez",
    "unoduetrequattrocinqueseisetteottonovedieciundicidodici",
    "eentweedrieviervijfzeszevenachtnegentien",
    "jedendwatrzyczterypięćsześćsiedemosiemdziewięćdziesięć",
    "одиндватричетырепятьшестьсемьвосемьдевятьдесять",
    "ettvåtrefyrafemsexsjuåttaniotio",
    "birikiüçdörtbeşaltıyedisekizdokuzon",
    "하나둘셋넷다섯여섯일곱여덟아홉열",
    "일이삼사오육칠팔구십",
    "januaryfebruarymarchaprilmayjunejulyaugustseptemberoctobernovemberdecember",
    "januarfebruarmärzaprilmaijunijuliaugustseptemberoktobernovemberdezember",
    "januarifebruarimaartaprilmeijunijuliaugustusseptemberoktobernovemberdecember",
    "enerofebreromarzoabrilmayojuniojulioagostoseptiembreoctubrenoviembrediciembre",
    "mondaytuesdaywednesdaythursdayfridaysaturdaysunday",
    "montagdienstagmittwochdonnerstagfreitagsamstagsonntag",
];

/// The characters of [`RECITED`], and the positions of each group of [`RECITED_START`] characters.
struct Recited {
    texts: Vec<Vec<char>>,
    places: HashMap<Vec<char>, Vec<(usize, usize)>>,
}

static RECITED_INDEX: LazyLock<Recited> = LazyLock::new(|| {
    let texts: Vec<Vec<char>> = RECITED.iter().map(|text| text.nfkc().collect()).collect();
    let mut places: HashMap<Vec<char>, Vec<(usize, usize)>> = HashMap::new();
    for (number, text) in texts.iter().enumerate() {
        for (at, start) in text.windows(RECITED_START).enumerate() {
            places.entry(start.to_vec()).or_default().push((number, at));
        }
    }
    Recited { texts, places }
});

/// The digits of an American keyboard under the signs that the shift key makes of them.
const SHIFTED: [(char, char); 10] = [
    ('!', '1'),
    ('@', '2'),
    ('#', '3'),
    ('$', '4'),
    ('%', '5'),
    ('^', '6'),
    ('&', '7'),
    ('*', '8'),
    ('(', '9'),
    (')', '0'),
];

/// Returns `text` as typed without the shift key, if that differs.
pub(super) fn unshifted(text: &[char]) -> Option<Vec<char>> {
    let unshift = |c: &char| SHIFTED.iter().find(|(sign, _)| sign == c).map_or(*c, |(_, key)| *key);
    let other: Vec<char> = text.iter().map(unshift).collect();
    (other != text).then_some(other)
}

/// Returns whether `text` is the repetition of a unit that is shorter than `shortest` or for which
/// `is_guessable` holds. The last repetition may be cut off; the unit occurs at least one and a
/// half times.
pub(super) fn is_repeated(
    text: &[char],
    shortest: usize,
    is_guessable: impl Fn(&[char]) -> bool,
) -> bool {
    let repeats = |unit: &usize| text.chunks(*unit).all(|chunk| text.starts_with(chunk));
    (1..=text.len() * 2 / 3).find(repeats).is_some_and(|unit| {
        let repeated = &text[..unit];
        unit < shortest || is_guessable(repeated)
    })
}

/// Returns whether two series alternate, as in `q1w2e3r4t5`. Of a long text a quarter may be
/// outside.
pub(super) fn is_interleaved(text: &[char]) -> bool {
    let every_second =
        |from: usize| -> Vec<char> { text.iter().skip(from).step_by(2).copied().collect() };
    let (even, odd) = (every_second(0), every_second(1));
    let others = if text.len() < LONG_INTERLEAVED { 0 } else { text.len() / 4 };
    odd.len() >= SHORTEST_RUN && count_outside_series(&even) + count_outside_series(&odd) <= others
}

/// Counts the characters outside of series and repetitions.
pub(super) fn count_outside_series(text: &[char]) -> usize {
    let (mut at, mut outside) = (0, 0);
    while at < text.len() {
        let run = longest_run(&text[at..]);
        if run >= SHORTEST_RUN {
            at += run;
        } else {
            at += 1;
            outside += 1;
        }
    }
    outside
}

/// Returns the length of the longest series at the start of `text`. Each of its characters may be
/// repeated.
pub(super) fn longest_run(text: &[char]) -> usize {
    let along = |row: &&[char]| {
        let next = |from: char, step: usize| {
            let place = row.iter().position(|it| *it == from)?;
            Some(row[(place + step) % row.len()])
        };
        let back = row.len() - 1;
        run_length(text, |from| next(from, 1)).max(run_length(text, |from| next(from, back)))
    };
    let by_code = |step: i32| run_length(text, |from| char_plus(from, step));
    let codes = [-2, -1, 1, 2].into_iter().map(by_code);
    let others = [date_length(text), recited_length(text)];
    let series = text.first().and_then(|first| SERIES_WITH.get(first));
    series.into_iter().flatten().map(along).chain(codes).chain(others).max().unwrap_or(0)
}

fn run_length(text: &[char], next: impl Fn(char) -> Option<char>) -> usize {
    let goes_on = |pair: &&[char]| pair[1] == pair[0] || Some(pair[1]) == next(pair[0]);
    1 + text.windows(2).take_while(goes_on).count()
}

/// Returns the letter or digit that is `step` code points away from another.
fn char_plus(from: char, step: i32) -> Option<char> {
    let to = u32::from(from).checked_add_signed(step).and_then(char::from_u32)?;
    (from.is_alphanumeric() && to.is_alphanumeric()).then_some(to)
}

/// Returns the length of the date or year at the start of `text`, written in digits only.
fn date_length(text: &[char]) -> usize {
    let number = |from: usize, length: usize| {
        let digits = text.get(from..from + length)?.iter();
        digits.map(|digit| digit.to_digit(10)).try_fold(0, |sum, digit| Some(sum * 10 + digit?))
    };
    let is_year = |from| number(from, 4).is_some_and(|it| (1900..2100).contains(&it));
    let is_one_of = |from, last| number(from, 2).is_some_and(|it| (1..=last).contains(&it));
    let is_day_and_month = |from| {
        is_one_of(from, 31) && is_one_of(from + 2, 12)
            || is_one_of(from, 12) && is_one_of(from + 2, 31)
    };
    if is_year(0) && is_day_and_month(4) || is_day_and_month(0) && is_year(4) {
        8
    } else if is_year(0) {
        4
    } else {
        0
    }
}

/// Returns the length of the part of a phrase at the start of `text`.
fn recited_length(text: &[char]) -> usize {
    let Recited { texts, places } = &*RECITED_INDEX;
    let Some(places) = text.get(..RECITED_START).and_then(|start| places.get(start)) else {
        return 0;
    };
    let common = |(number, at): &(usize, usize)| {
        let recited = &texts[*number][*at..];
        recited.iter().zip(text).take_while(|(one, other)| one == other).count()
    };
    places.iter().map(common).max().filter(|length| *length >= SHORTEST_RECITED).unwrap_or(0)
}
