//! What peers write, made fit for records: nothing in it may be somebody's number or address.

/// A peer's words without control characters, addresses and long runs of digits. Peers like to repeat
/// whom they refused (`550 <anna@example.com>: no such user`), and records must not.
pub fn masked(words: &str) -> String {
    let spaced: String = words
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(LONGEST)
        .collect();
    let words: Vec<&str> = spaced.split_whitespace().map(without_address).collect();
    without_numbers(&words.join(" "))
}

const LONGEST: usize = 1000;
const HIDDEN: &str = "•••";
/// Shorter runs are codes and limits (`552 size 10240`); telephone numbers have seven digits or more,
/// and extensions are given away by nobody but our own switch.
const LONGEST_CODE: usize = 6;

fn without_address(word: &str) -> &str {
    if word.contains('@') || word.contains("%40") {
        HIDDEN
    } else {
        word
    }
}

fn without_numbers(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, run) = rest.split_at(start);
        let length = run.find(|c| !belongs(c)).unwrap_or(run.len());
        // Up to its last digit: a full stop or a space behind a number is none of it.
        let length = run[..length]
            .rfind(|c: char| c.is_ascii_digit())
            .map_or(0, |last| last + 1);
        let (run, behind) = run.split_at(length);
        out.push_str(before);
        // What begins with a plus is a number and nothing else.
        let codes = if before.trim_end_matches([' ', '(']).ends_with('+') {
            0
        } else {
            length_of_codes(run)
        };
        let (codes, run) = run.split_at(codes);
        out.push_str(codes);
        out.push_str(if digits(run) > LONGEST_CODE {
            HIDDEN
        } else {
            run
        });
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// Marks inside a number do not end it: 555-0123, (415) 555.0123, 06 12 34 56 78.
fn belongs(c: char) -> bool {
    c.is_ascii_digit()
        || matches!(
            c,
            ' ' | '-' | '.' | '(' | ')' | '/' | '\u{2010}'..='\u{2015}'
        )
}

fn digits(text: &str) -> usize {
    text.chars().filter(char::is_ascii_digit).count()
}

/// How much at the beginning of a run is no number for sure: codes of mail servers, and what else stands with them if
/// it is the address of a machine.
fn length_of_codes(run: &str) -> usize {
    // A reply of several lines has a dash behind its code: `550-5.7.26`.
    let words: Vec<&str> = run.split_inclusive([' ', '-']).collect();
    let bare = |at: usize| {
        let word: &str = words.get(at).copied().unwrap_or("");
        word.trim_matches(|c: char| !c.is_ascii_digit())
    };
    // Digits beside an address might be the rest of a number that is only dotted like one: `06 12.34.56.78`.
    let addresses = (0..words.len()).filter(|at| is_address(bare(*at))).count();
    let replies = (0..words.len()).filter(|at| is_reply(bare(*at))).count();
    let enhanced = (0..words.len()).filter(|at| is_enhanced(bare(*at))).count();
    if addresses > 0 && replies <= 1 && addresses + replies + enhanced == words.len() {
        return run.len();
    }
    let mut kept = 0;
    while is_enhanced(bare(kept)) || (is_reply(bare(kept)) && is_enhanced(bare(kept + 1))) {
        kept += 1;
    }
    words[..kept].iter().map(|word| word.len()).sum()
}

/// `192.0.2.17`.
fn is_address(word: &str) -> bool {
    word.parse::<std::net::Ipv4Addr>().is_ok()
}

/// `550`, as SMTP has them.
fn is_reply(word: &str) -> bool {
    word.len() == 3 && word.starts_with(['2', '4', '5']) && digits(word) == 3
}

/// `5.1.1` (RFC 3463): class, subject and detail.
fn is_enhanced(word: &str) -> bool {
    let parts: Vec<&str> = word.split('.').collect();
    let [class, subject, detail] = parts[..] else {
        return false;
    };
    matches!(class, "2" | "4" | "5")
        && (subject.len(), digits(subject)) == (1, 1)
        && (1..=3).contains(&detail.len())
        && digits(detail) == detail.len()
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn addresses_and_numbers_do_not_pass() {
        for (words, kept) in [
            ("Busy Here", "Busy Here"),
            (
                "5.1.1 <anna@example.com>: Recipient address rejected",
                "5.1.1 ••• Recipient address rejected",
            ),
            ("2.0.0 Ok: queued as 4F2A1C", "2.0.0 Ok: queued as 4F2A1C"),
            ("+14155550123 not found", "+••• not found"),
            ("no route to 415-555-0123.", "no route to •••."),
            ("sip:4155550123%40host gone", "••• gone"),
            ("message of 10240 too large", "message of 10240 too large"),
            ("blocked by 192.0.2.17", "blocked by 192.0.2.17"),
            ("connect to [192.0.2.17]:25", "connect to [192.0.2.17]:25"),
            ("552 size 10240", "552 size 10240"),
            // However its digits are grouped, a number is one.
            ("06.12.34.56.78 is barred", "••• is barred"),
            ("No user +1 415 555 0123", "No user +•••"),
            ("(415) 555 0123 (mobile)", "(••• (mobile)"),
            ("06 12 34 56 78, not known", "•••, not known"),
            ("0049 (0) 30 / 12 34 56-78", "•••"),
            ("415 \u{2013} 555\t\u{2011} 0123", "•••"),
            ("not 415\u{a0}555\u{a0}0123", "not •••"),
            ("tel:+33 6.12.34.56 78", "tel:+•••"),
            ("+12.34.56.78", "+•••"),
            ("+ (12.34.56.78)", "+ (•••)"),
            // Dotted like an address, and none.
            ("300.12.34.56 unknown", "••• unknown"),
            ("06.12.34.56 unknown", "••• unknown"),
            ("1.2.3.4.5.6.7 unknown", "••• unknown"),
            ("4.155.550 unknown", "••• unknown"),
            ("06 12.34.56.78 unknown", "••• unknown"),
            ("12.34.56.78 90 unknown", "••• unknown"),
            ("415 555 12.34.56.78", "•••"),
            // Codes stay, and so does the address of a machine beside them.
            (
                "550 5.1.1 recipient 12 rejected",
                "550 5.1.1 recipient 12 rejected",
            ),
            ("421 4.7.0 10 20", "421 4.7.0 10 20"),
            ("550-5.7.26 unauthenticated", "550-5.7.26 unauthenticated"),
            ("550-555-0123", "•••"),
            ("12.34.56.78-90 unknown", "••• unknown"),
            ("550 5.7.26 unauthenticated", "550 5.7.26 unauthenticated"),
            (
                "554 5.7.1 192.0.2.17 is listed, 5.7.1 (192.0.2.17)",
                "554 5.7.1 192.0.2.17 is listed, 5.7.1 (192.0.2.17)",
            ),
            ("5.1.1 415 555 0123 unknown", "5.1.1 ••• unknown"),
            ("550 5.1.1 4155550123 unknown", "550 5.1.1 ••• unknown"),
            ("404 415 555 0123", "•••"),
            ("line\r\ninjected\u{7}", "line injected"),
            ("", ""),
        ] {
            assert_eq!(masked(words), kept, "{words:?}");
        }
        assert!(masked(&"x".repeat(5000)).len() <= 1000);
    }
}
