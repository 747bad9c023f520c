//! Contacts by tables of cases: what is read, what is refused, and that nothing prints in clear.

use proptest::prelude::*;

use super::*;

#[path = "toll_fraud.rs"]
mod toll_fraud;

fn phone(text: &str, region: Option<&str>) -> Result<String, &'static str> {
    PhoneNumber::parse(text, region)
        .map(|number| number.expose().to_owned())
        .map_err(|error| error.code())
}

#[test]
fn response_types() {
    for (text, kind) in [
        ("Voice", Some(ResponseType::Voice)),
        ("VOICE", Some(ResponseType::Voice)),
        ("voip", Some(ResponseType::VoIP)),
        ("email", Some(ResponseType::Email)),
        ("e-mail", None),
        ("", None),
        ("Voice ", None),
    ] {
        assert_eq!(ResponseType::parse(text), kind, "{text:?}");
    }
    for kind in ResponseType::ALL {
        let json = serde_json::to_string(&kind).unwrap();
        assert_eq!(json, format!("\"{}\"", kind.as_str()));
        let small = json.to_lowercase();
        assert_eq!(serde_json::from_str::<ResponseType>(&small).unwrap(), kind);
    }
    assert!(serde_json::from_str::<ResponseType>("\"Fax\"").is_err());
}

#[test]
fn telephone_numbers_as_people_write_them() {
    let cases = [
        // text, default region, E.164
        ("(415) 555-0123", Some("US"), "+14155550123"),
        ("415.555.0123", Some("US"), "+14155550123"),
        ("1 415 555 0123", Some("US"), "+14155550123"),
        ("+1 415 555 0123", None, "+14155550123"),
        ("tel:+1-415-555-0123", None, "+14155550123"),
        ("TEL:+14155550123", None, "+14155550123"),
        ("  +14155550123  ", None, "+14155550123"),
        ("020 7946 0018", Some("GB"), "+442079460018"),
        ("+44 (0)20 7946 0018", None, "+442079460018"),
        ("0044 20 7946 0018", Some("DE"), "+442079460018"),
        ("011 44 20 7946 0018", Some("US"), "+442079460018"),
        ("030/123456", Some("DE"), "+4930123456"),
        ("01 42 68 53 00", Some("FR"), "+33142685300"),
        // Italy keeps its zero, and the Vatican lives inside Rome's numbers.
        ("06 1234 5678", Some("IT"), "+390612345678"),
        ("06 69812345", Some("IT"), "+390669812345"),
        // Argentina's mobiles gain a 9 and lose a 15.
        ("011 15-3456-7890", Some("AR"), "+5491134567890"),
        ("55 1234 5678", Some("MX"), "+525512345678"),
        ("8 (495) 123-45-67", Some("RU"), "+74951234567"),
        ("03-1234-5678", Some("JP"), "+81312345678"),
        ("０３－１２３４－５６７８", Some("JP"), "+81312345678"),
        ("٠١٠٠٠٠٠٠٠٠٠", Some("EG"), "+201000000000"),
        ("1-800-FLOWERS", Some("US"), "+18003569377"),
        ("+800 1234 5678", None, "+80012345678"),
        ("(0)612345678", Some("FR"), "+33612345678"),
    ];
    for (text, region, e164) in cases {
        assert_eq!(phone(text, region), Ok(e164.to_owned()), "{text}");
    }
}

#[test]
fn texts_that_are_no_telephone_numbers() {
    let long = "1".repeat(101);
    let cases = [
        ("", None, "empty"),
        ("   ", None, "empty"),
        (long.as_str(), Some("US"), "too_long"),
        ("4155550123", None, "no_country"),
        ("4155550123", Some("usa"), "default_region"),
        ("+999 123456", Some("US"), "country_code"),
        ("1", Some("US"), "not_a_number"),
        ("911", Some("US"), "not_valid"),
        ("+1 415 555 01234", None, "not_valid"),
        ("+1 115 555 0123", None, "not_valid"),
        ("+14155550123 ext. 9", None, "extension"),
        ("tel:+14155550123;ext=9", None, "extension"),
        ("tel:5550123;phone-context=+1415", None, "not_a_number"),
        ("my number is 4155550123", Some("US"), "not_a_number"),
        ("anna@example.com", Some("US"), "not_a_number"),
        ("+14155550123&SIP/1", None, "character"),
        ("+1415\u{202e}5550123", None, "character"),
        ("+1415555\r\n0123", None, "character"),
        ("+1415555\u{0}0123", None, "character"),
        (
            "4155550123 / 4155550199 / 4155550188",
            Some("US"),
            "not_valid",
        ),
    ];
    for (text, region, code) in cases {
        assert_eq!(phone(text, region), Err(code), "{text}");
    }
}

#[test]
fn the_table_of_toll_fraud() {
    let rules: DialRules = serde_json::from_str(
        r#"{"regions":["US","GB","DE","FR","IT","RU"],"default_region":"US"}"#,
    )
    .unwrap();
    assert!(toll_fraud::CASES.len() >= 120);
    let mut wrong = Vec::new();
    for (text, expected) in toll_fraud::CASES {
        let verdict = match PhoneNumber::parse(text, rules.default_region.as_deref()) {
            Err(ContactError::Extension) => "extension".to_owned(),
            Err(_) => "unreadable".to_owned(),
            Ok(number) => match rules.permit(&number) {
                Ok(()) => format!("ok {}", number.region().unwrap()),
                Err(DialRefusal::NoRegion) => "no_region".to_owned(),
                Err(refusal @ DialRefusal::Region(region)) => {
                    format!("{} {region}", refusal.code())
                }
                Err(refusal @ (DialRefusal::Type(kind) | DialRefusal::Earns(kind))) => {
                    format!("{} {}", refusal.code(), kind.as_str())
                }
            },
        };
        if verdict != *expected {
            wrong.push(format!("{text}: {verdict}, expected {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn dial_rules() {
    let number = |text: &str| PhoneNumber::parse(text, None).unwrap();
    let nothing = DialRules::default();
    assert_eq!(
        nothing.permit(&number("+14155550123")),
        Err(DialRefusal::Region("US".parse().unwrap()))
    );
    // Types that cost can be listed, types that earn cannot.
    let rules: DialRules =
        serde_json::from_str(r#"{"regions":["GB"],"types":["personal","universal_access"]}"#)
            .unwrap();
    assert_eq!(rules.permit(&number("+447012345678")), Ok(()));
    assert_eq!(rules.permit(&number("+443451234567")), Ok(()));
    assert_eq!(
        rules.permit(&number("+442079460018")),
        Err(DialRefusal::Type(NumberType::FixedLine))
    );
    let mut forced = rules.clone();
    forced.types = vec![NumberType::PremiumRate, NumberType::SharedCost];
    assert_eq!(
        forced.permit(&number("+449098790000")),
        Err(DialRefusal::Earns(NumberType::PremiumRate))
    );
    for wrong in [
        r#"{"types":["premium_rate"]}"#,
        r#"{"types":["shared_cost"]}"#,
        r#"{"types":["satellite"]}"#,
        r#"{"regions":["USA"]}"#,
        r#"{"regions":["us"]}"#,
        r#"{"regions":["001"]}"#,
        r#"{"default_region":"1"}"#,
        r#"{"countries":["US"]}"#,
    ] {
        assert!(serde_json::from_str::<DialRules>(wrong).is_err(), "{wrong}");
    }
    let json = serde_json::to_string(&rules).unwrap();
    assert_eq!(serde_json::from_str::<DialRules>(&json).unwrap(), rules);
}

#[test]
fn stored_numbers_can_always_be_read_and_never_dialled_by_mistake() {
    let stored = PhoneNumber::from_stored("+14155550123").unwrap();
    assert_eq!(stored, PhoneNumber::parse("+14155550123", None).unwrap());
    // No plan knows this one.
    let orphan = PhoneNumber::from_stored("+11115550123").unwrap();
    assert_eq!(orphan.expose(), "+11115550123");
    let rules: DialRules =
        serde_json::from_str(r#"{"regions":["US"],"types":["unknown","mobile"]}"#).unwrap();
    assert_eq!(rules.permit(&orphan), Err(DialRefusal::NoRegion));
    for wrong in [
        "",
        "+",
        "14155550123",
        "+1415555012a",
        "+1 4155550123",
        "+0123456",
        "+1234567890123456",
    ] {
        assert!(PhoneNumber::from_stored(wrong).is_err(), "{wrong}");
    }
    for (kind, text) in [
        (ResponseType::Voice, "+14155550123"),
        (ResponseType::VoIP, "sip:anna@example.com"),
        (ResponseType::Email, "anna@example.com"),
    ] {
        let contact = Contact::from_stored(kind, text).unwrap();
        assert_eq!(contact.expose(), text);
        assert_eq!(contact.response_type(), kind);
        assert_eq!(contact, Contact::parse(kind, text, None).unwrap());
    }
}

#[test]
fn only_digits_are_dialled() {
    let contact = Contact::parse(ResponseType::Voice, "+1 (415) 555-0123", None).unwrap();
    assert_eq!(contact.dialled_digits(), Some("14155550123"));
    let contact = Contact::parse(ResponseType::Email, "anna@example.com", None).unwrap();
    assert_eq!(contact.dialled_digits(), None);
}

#[test]
fn sip_addresses() {
    let cases = [
        ("sip:anna@example.com", "sip:anna@example.com"),
        ("SIP:Anna@Example.COM", "sip:Anna@example.com"),
        ("sips:anna@example.com", "sips:anna@example.com"),
        ("anna@example.com", "sip:anna@example.com"),
        ("anna@example.com:5080", "sip:anna@example.com:5080"),
        ("example.com", "sip:example.com"),
        ("example.com.", "sip:example.com"),
        ("example.com:5070", "sip:example.com:5070"),
        ("203.0.113.9", "sip:203.0.113.9"),
        ("203.0.113.9:5080", "sip:203.0.113.9:5080"),
        (
            "sip:+14155550123@203.0.113.9",
            "sip:+14155550123@203.0.113.9",
        ),
        ("2001:db8::1", "sip:[2001:db8::1]"),
        ("[2001:DB8:0:0:0:0:0:1]:5080", "sip:[2001:db8::1]:5080"),
        ("sip:anna@[2001:db8::1]", "sip:anna@[2001:db8::1]"),
        (
            "sip:anna@example.com;transport=tcp",
            "sip:anna@example.com;transport=tcp",
        ),
        (
            "sip:anna@example.com:5061;Transport=TLS",
            "sip:anna@example.com:5061;transport=tls",
        ),
        ("sip:localhost", "sip:localhost"),
        ("sip:anna.b_c-d~e+1@pbx", "sip:anna.b_c-d~e+1@pbx"),
        (" sip:anna@example.com ", "sip:anna@example.com"),
    ];
    for (text, uri) in cases {
        let address = VoipAddress::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(address.expose(), uri, "{text}");
        assert_eq!(VoipAddress::parse(uri).unwrap(), address, "{text}");
    }
}

#[test]
fn texts_that_are_no_sip_addresses() {
    let long_user = format!("sip:{}@example.com", "a".repeat(65));
    let long_label = format!("{}.com", "a".repeat(64));
    let long_text = "a".repeat(401);
    let cases = [
        ("", "empty"),
        (long_text.as_str(), "too_long"),
        (long_user.as_str(), "sip_user"),
        (long_label.as_str(), "host"),
        ("sip:", "host"),
        ("sip:@example.com", "sip_user"),
        ("sip:anna@", "host"),
        ("sip:anna:secret@example.com", "sip_password"),
        ("sip:anna@example.com?Route=evil", "sip_headers"),
        ("sip:anna@example.com?Replaces=x%0d%0aVia", "sip_headers"),
        ("sip:anna@example.com;maddr=10.0.0.1", "sip_parameter"),
        ("sip:anna@example.com;lr", "sip_parameter"),
        ("sip:anna@example.com;user=phone", "sip_parameter"),
        ("sip:anna@example.com;transport=sctp", "sip_parameter"),
        (
            "sip:anna@example.com;transport=tcp;transport=udp",
            "sip_parameter",
        ),
        ("sip:anna@example.com;", "sip_parameter"),
        ("sips:anna@example.com;transport=udp", "sip_parameter"),
        ("sip:an%0d%0ana@example.com", "sip_user"),
        ("sip:an%6ea@example.com", "sip_user"),
        ("sip:a&b@example.com", "sip_user"),
        ("sip:a;b@example.com", "sip_parameter"),
        ("sip:a,b@example.com", "sip_user"),
        ("sip:a/b@example.com", "sip_user"),
        ("sip:*72@example.com", "sip_user"),
        ("sip:a#@example.com", "sip_user"),
        ("sip:a@b@example.com", "sip_user"),
        ("sip:anna@example.com\r\nVia: x", "character"),
        ("sip:anna@exam\tple.com", "character"),
        ("\"Anna\" <sip:anna@example.com>", "character"),
        ("sip:anna@exämple.com", "character"),
        ("sip:anna@exam ple.com", "character"),
        ("tel:+14155550123", "not_sip"),
        ("https://example.com", "not_sip"),
        ("sip:anna@exa_mple.com", "host"),
        ("sip:anna@-example.com", "host"),
        ("sip:anna@example..com", "host"),
        ("sip:anna@.com", "host"),
        ("sip:anna@2130706433", "host"),
        ("sip:anna@0177.0.0.1", "host"),
        ("sip:anna@0x7f.1", "host"),
        ("sip:anna@0x7f000001", "host"),
        ("sip:anna@127.1", "host"),
        ("sip:anna@1.2.3.4.5", "host"),
        ("sip:anna@256.1.1.1", "host"),
        ("sip:anna@[::1", "host"),
        ("sip:anna@[::1]x", "host"),
        ("sip:anna@[fe80::1%25eth0]", "host"),
        ("sip:anna@[127.0.0.1]", "host"),
        ("0.0.0.0", "unreachable"),
        ("0.1.2.3", "unreachable"),
        ("224.0.1.75", "unreachable"),
        ("239.255.255.255", "unreachable"),
        ("240.0.0.1", "unreachable"),
        ("255.255.255.255", "unreachable"),
        ("::", "unreachable"),
        ("ff02::1", "unreachable"),
        ("::ffff:0.0.0.0", "unreachable"),
        ("::ffff:224.0.0.1", "unreachable"),
        ("64:ff9b::255.255.255.255", "unreachable"),
        ("example.com:0", "port"),
        ("example.com:65536", "port"),
        ("example.com:", "port"),
        ("example.com:+5060", "port"),
        ("example.com:5060x", "port"),
    ];
    for (text, code) in cases {
        let error = VoipAddress::parse(text).map(|a| a.expose().to_owned());
        assert_eq!(error.map_err(|e| e.code()), Err(code), "{text}");
    }
}

#[test]
fn private_addresses_are_told() {
    for text in [
        "127.0.0.1",
        "127.9.9.9",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "198.18.0.1",
        "192.0.0.1",
        "::1",
        "fe80::1",
        "fc00::1",
        "fd12::1",
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.1",
        "64:ff9b::192.168.0.1",
        "2002:a00:1::",
        "::127.0.0.1",
        "localhost",
        "pbx",
        "pbx.local",
        "db.internal",
        "a.home.arpa",
        "x.localhost",
        "fritz.lan",
    ] {
        assert!(VoipAddress::parse(text).unwrap().is_private(), "{text}");
    }
    for text in [
        "203.0.113.9",
        "8.8.8.8",
        "172.32.0.1",
        "172.15.0.1",
        "100.128.0.1",
        "192.169.0.1",
        "2001:db8::1",
        "example.com",
        "sip.example.org",
        "local.example.com",
        "::ffff:8.8.8.8",
    ] {
        assert!(!VoipAddress::parse(text).unwrap().is_private(), "{text}");
    }
}

#[test]
fn email_addresses() {
    let long_local = format!("{}@example.com", "a".repeat(64));
    let cases = [
        ("anna@example.com", "anna@example.com"),
        ("Anna.B+tag@Example.COM", "Anna.B+tag@example.com"),
        (" anna@example.com ", "anna@example.com"),
        ("o'brien@example.com", "o'brien@example.com"),
        ("\"anna b\"@example.com", "\"anna b\"@example.com"),
        ("用户@例子.广告", "用户@例子.广告"),
        ("anna@EXÄMPLE.de", "anna@exämple.de"),
        ("anna@xn--exmple-cua.de", "anna@xn--exmple-cua.de"),
        ("a@b.co", "a@b.co"),
        (long_local.as_str(), long_local.as_str()),
    ];
    for (text, address) in cases {
        let parsed = EmailAddress::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(parsed.expose(), address);
        assert_eq!(EmailAddress::parse(address).unwrap(), parsed);
        assert_eq!(
            format!("{}@{}", parsed.local_part(), parsed.domain()),
            address
        );
    }
    assert!(
        EmailAddress::parse("用户@例子.广告")
            .unwrap()
            .needs_smtputf8()
    );
    assert!(
        !EmailAddress::parse("anna@example.com")
            .unwrap()
            .needs_smtputf8()
    );
}

#[test]
fn texts_that_are_no_email_addresses() {
    let long_local = format!("{}@example.com", "a".repeat(65));
    let long_text = format!("a@{}.com", "a.".repeat(130));
    let long_label = format!("a@{}.com", "a".repeat(64));
    let cases = [
        ("", "empty"),
        ("anna", "not_an_email"),
        ("@example.com", "not_an_email"),
        ("anna@", "domain"),
        ("anna@localhost", "domain"),
        ("anna@example", "domain"),
        ("anna@[10.0.0.1]", "domain"),
        ("anna@10.0.0.1", "domain"),
        ("anna@example..com", "domain"),
        ("anna@exa!mple.com", "domain"),
        ("anna@exa_mple.com", "domain"),
        (long_label.as_str(), "domain"),
        (long_local.as_str(), "local_part_too_long"),
        (long_text.as_str(), "too_long"),
        ("anna..b@example.com", "not_an_email"),
        (".anna@example.com", "not_an_email"),
        ("anna b@example.com", "not_an_email"),
        ("a@b@example.com", "not_an_email"),
        ("anna@example.com,bob@example.com", "not_an_email"),
        ("Anna <anna@example.com>", "display_name"),
        ("<anna@example.com>", "display_name"),
        ("anna@example.com\r\nBcc: bob@example.com", "character"),
        ("an\u{0}na@example.com", "character"),
        ("an\u{200b}na@example.com", "character"),
        ("an\u{202e}na@example.com", "character"),
        ("an\u{3000}na@example.com", "not_an_email"),
    ];
    for (text, code) in cases {
        let parsed = EmailAddress::parse(text).map(|a| a.expose().to_owned());
        let refused = parsed.map_err(|e| e.code());
        assert!(refused.is_err(), "{text}");
        assert_eq!(refused, Err(code), "{text}");
    }
}

#[test]
fn nothing_prints_in_clear() {
    let cases = [
        (ResponseType::Voice, "+14155550123", "+14•••23"),
        (ResponseType::Voice, "+442079460018", "+44•••18"),
        (ResponseType::Voice, "+4930123456", "+49•••56"),
        (ResponseType::Voice, "+6834567", "+68•••67"),
        (
            ResponseType::VoIP,
            "sip:anna@example.com:5080",
            "sip:a•••@example.com",
        ),
        (ResponseType::VoIP, "sips:anna@203.0.113.9", "sips:a•••@•••"),
        (ResponseType::VoIP, "203.0.113.9", "sip:•••"),
        (ResponseType::VoIP, "annas-phone.example.com", "sip:•••"),
        (ResponseType::Email, "anna@example.com", "a•••@example.com"),
        (ResponseType::Email, "用户@例子.广告", "用•••@例子.广告"),
    ];
    for (kind, text, masked) in cases {
        let contact = Contact::parse(kind, text, None).unwrap();
        assert_eq!(contact.to_string(), masked);
        assert_eq!(format!("{contact:?}"), masked);
        let inside = match &contact {
            Contact::Phone(number) => format!("{number} {number:?}"),
            Contact::Voip(address) => format!("{address} {address:?}"),
            Contact::Email(address) => format!("{address} {address:?}"),
        };
        assert_eq!(inside, format!("{masked} {masked}"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics_and_what_is_read_reads_the_same_again(
        text in "\\PC{0,120}", region in proptest::option::of("[A-Z]{2}"),
    ) {
        for kind in ResponseType::ALL {
            match Contact::parse(kind, &text, region.as_deref()) {
                Ok(contact) => {
                    prop_assert_eq!(&Contact::parse(kind, contact.expose(), None).unwrap(), &contact);
                    prop_assert_eq!(&Contact::from_stored(kind, contact.expose()).unwrap(), &contact);
                    prop_assert!(!contact.expose().chars().any(char::is_control));
                }
                // Nothing that was written is told again.
                Err(error) => prop_assert!(text.len() < 6 || !error.to_string().contains(&text)),
            }
            let _ = Contact::from_stored(kind, &text);
        }
    }

    #[test]
    fn no_bytes_at_all_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let text = String::from_utf8_lossy(&bytes);
        for kind in ResponseType::ALL {
            let _ = Contact::parse(kind, &text, Some("US"));
        }
    }

    #[test]
    fn texts_that_look_like_numbers(text in "[+0-9()\\-. x#;=a-z/٠-٩０-９]{0,40}") {
        if let Ok(number) = PhoneNumber::parse(&text, Some("GB")) {
            prop_assert!(number.expose().starts_with('+'));
            prop_assert!(number.dialled_digits().bytes().all(|b| b.is_ascii_digit()));
            prop_assert!((4..=15).contains(&number.dialled_digits().len()));
            let masked = number.to_string();
            let shown = masked.chars().filter(char::is_ascii_digit).count();
            prop_assert!(shown + 3 <= number.dialled_digits().len());
        }
    }

    #[test]
    fn texts_that_look_like_sip(text in "(sips?:)?[a-z%0-9&;,@:.\\[\\]?=+\\-]{0,40}") {
        if let Ok(address) = VoipAddress::parse(&text) {
            let uri = address.expose();
            let allowed = |c: char| c.is_ascii_alphanumeric() || ":@.[]-_+~;=".contains(c);
            prop_assert!(uri.chars().all(allowed), "{}", uri);
            prop_assert!(uri.matches('@').count() <= 1);
        }
    }

    #[test]
    fn texts_that_look_like_mail(text in "[a-zA-Z.\"<> äß用_!-]{1,20}@[a-zA-Z.äß用_!\\[\\]0-9-]{1,30}") {
        if let Ok(address) = EmailAddress::parse(&text) {
            prop_assert!(address.expose().len() <= 254);
            prop_assert!(address.local_part().len() <= 64);
            prop_assert!(address.domain().contains('.'));
        }
    }
}
