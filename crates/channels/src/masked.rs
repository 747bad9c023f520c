//! What peers write, made fit for records: nothing in it may be somebody's number or address.

/// A peer's words without control characters, addresses and long runs of digits. Peers like to repeat
/// whom they refused (`550 <anna@example.com>: no such user`), and records must not.
pub fn masked(words: &str) -> String {
    let spaced: String = words
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(LONGEST)
        .collect();
    let kept: Vec<String> = spaced.split_whitespace().map(masked_word).collect();
    kept.join(" ")
}

const LONGEST: usize = 1000;
const HIDDEN: &str = "•••";
/// Shorter runs are codes and limits (`552 size 10240`); telephone numbers have seven digits or more,
/// and extensions are given away by nobody but our own switch.
const LONGEST_CODE: usize = 6;

fn masked_word(word: &str) -> String {
    if word.contains('@') || word.contains("%40") {
        return HIDDEN.to_owned();
    }
    let mut out = String::new();
    let mut run = String::new();
    for c in word.chars().chain(std::iter::once('\0')) {
        // Marks inside a number do not end it: 555-0123, (415)555.0123.
        if c.is_ascii_digit() || (!run.is_empty() && matches!(c, '-' | '.' | '(' | ')' | '/')) {
            run.push(c);
            continue;
        }
        let digits = run.chars().filter(char::is_ascii_digit).count();
        // Dotted groups of at most three are versions, enhanced codes and IPv4 addresses of servers.
        let dotted = run.split('.').all(|group| group.len() <= 3);
        out.push_str(if digits > LONGEST_CODE && !dotted {
            HIDDEN
        } else {
            &run
        });
        run.clear();
        if c != '\0' {
            out.push(c);
        }
    }
    out
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
            ("no route to 415-555-0123.", "no route to •••"),
            ("sip:4155550123%40host gone", "••• gone"),
            ("message of 10240 too large", "message of 10240 too large"),
            ("blocked by 192.0.2.17", "blocked by 192.0.2.17"),
            ("line\r\ninjected\u{7}", "line injected"),
            ("", ""),
        ] {
            assert_eq!(masked(words), kept, "{words:?}");
        }
        assert!(masked(&"x".repeat(5000)).len() <= 1000);
    }
}
