//! A queue's template filled in: pure, and unable to smuggle markup or headers.

use ringback_callbacks::queue::EmailTemplate;

/// What a template may speak of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    pub subject: String,
    pub customer_name: String,
    pub queue: String,
    pub interaction_id: String,
}

/// Subject, text and HTML. In HTML the values are escaped; in the subject they stay on one line.
/// Unknown `{{names}}` stay as they are written, so that a slip shows in the first message.
pub fn fill(template: &EmailTemplate, values: &Values) -> (String, String, Option<String>) {
    let subject = filled(&template.subject, values, &one_line);
    let text = filled(&template.text, values, &str::to_owned);
    let html = template
        .html
        .as_ref()
        .map(|html| filled(html, values, &escaped));
    (subject, text, html)
}

/// One pass from left to right: what a value brings with it is never looked at again, so a customer
/// who is called `{{queue}}` is greeted by that name.
fn filled(template: &str, values: &Values, dress: &dyn Fn(&str) -> String) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, tail)) = rest.split_once("{{") {
        out.push_str(before);
        let named = tail
            .split_once("}}")
            .and_then(|(name, after)| Some((value(name, values)?, after)));
        match named {
            Some((value, after)) => {
                out.push_str(&dress(value));
                rest = after;
            }
            None => {
                out.push_str("{{");
                rest = tail;
            }
        }
    }
    out.push_str(rest);
    out
}

fn value<'a>(name: &str, values: &'a Values) -> Option<&'a str> {
    match name.trim() {
        "subject" => Some(&values.subject),
        "customer_name" => Some(&values.customer_name),
        "queue" => Some(&values.queue),
        "interaction_id" => Some(&values.interaction_id),
        _ => None,
    }
}

/// Line breaks and other controls become spaces: a subject is one line.
pub(super) fn one_line(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    plain.trim().to_owned()
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Values {
        Values {
            subject: "Boiler <b>broken</b>".to_owned(),
            customer_name: "Ann \"{{queue}}\" O'Neil & Sons".to_owned(),
            queue: "Heating".to_owned(),
            interaction_id: "42".to_owned(),
        }
    }

    fn text(template: &str) -> String {
        let template = EmailTemplate {
            subject: String::new(),
            text: template.to_owned(),
            html: None,
        };
        fill(&template, &values()).1
    }

    #[test]
    fn names_are_filled_in_once() {
        for (template, expected) in [
            ("{{queue}}: {{ interaction_id }}.", "Heating: 42."),
            (
                "Dear {{customer_name}},",
                "Dear Ann \"{{queue}}\" O'Neil & Sons,",
            ),
            ("{{unknown}} {{queue}}", "{{unknown}} Heating"),
            ("{{{{queue}}}}", "{{Heating}}"),
            ("{{queue", "{{queue"),
            ("}}{{", "}}{{"),
            ("{{}}", "{{}}"),
            ("", ""),
        ] {
            assert_eq!(text(template), expected, "{template}");
        }
    }

    #[test]
    fn html_is_escaped_and_subjects_stay_on_one_line() {
        let template = EmailTemplate {
            subject: "Re: {{subject}}".to_owned(),
            text: "{{subject}}".to_owned(),
            html: Some("<p title=\"{{customer_name}}\">{{subject}}</p>".to_owned()),
        };
        let mut values = values();
        values.subject = "Help\r\nBcc: all@example.com <script>".to_owned();
        let (subject, text, html) = fill(&template, &values);
        assert_eq!(subject, "Re: Help  Bcc: all@example.com <script>");
        assert_eq!(text, values.subject);
        let expected = "<p title=\"Ann &quot;{{queue}}&quot; O&#39;Neil &amp; Sons\">\
                        Help\r\nBcc: all@example.com &lt;script&gt;</p>";
        assert_eq!(html.as_deref(), Some(expected));
    }
}
