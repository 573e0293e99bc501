//! Numbers with units: what is accepted, what is refused, and that no text causes a panic.

use bench_plan::*;
use bench_run::MeasurementUnit;
use proptest::prelude::*;

#[test]
fn accepted() {
    let rows: &[(&str, f64, MeasurementUnit)] = &[
        ("3.3 V", 3.3, MeasurementUnit::Volts),
        ("-40 mV", -0.04, MeasurementUnit::Volts),
        ("500 Hz", 500.0, MeasurementUnit::Hertz),
        ("32 MHz", 32e6, MeasurementUnit::Hertz),
        ("10 ms", 0.01, MeasurementUnit::Seconds),
        ("2 min", 120.0, MeasurementUnit::Seconds),
        ("5 \u{b5}s", 5e-6, MeasurementUnit::Seconds),
        ("5\u{3bc}s", 5e-6, MeasurementUnit::Seconds),
        ("1 kohm", 1000.0, MeasurementUnit::Ohms),
        ("470 \u{3a9}", 470.0, MeasurementUnit::Ohms),
        ("4.7 k\u{2126}", 4700.0, MeasurementUnit::Ohms),
        ("20 mohm", 0.02, MeasurementUnit::Ohms),
        ("1e3 ohm", 1000.0, MeasurementUnit::Ohms),
        ("1E-3 MOhm", 1000.0, MeasurementUnit::Ohms),
        ("150 mA", 0.15, MeasurementUnit::Amps),
        ("+2 uA", 2e-6, MeasurementUnit::Amps),
        ("2 %", 2.0, MeasurementUnit::Percent),
        ("50 ppm", 0.005, MeasurementUnit::Percent),
        ("  .5V ", 0.5, MeasurementUnit::Volts),
        ("5.V", 5.0, MeasurementUnit::Volts),
    ];
    for (text, value, unit) in rows {
        assert_eq!(parse_quantity(text), Ok((*value, *unit)), "{text}");
    }
}

#[test]
fn refused() {
    let rows: &[(&str, &str)] = &[
        ("3.3", "has no unit"),
        ("1e3", "has no unit"),
        ("", "does not start with a number"),
        ("V", "does not start with a number"),
        ("-V", "does not start with a number"),
        (".V", "does not start with a number"),
        ("NaN V", "does not start with a number"),
        ("inf V", "does not start with a number"),
        ("3.3 volts", "has an unknown unit"),
        ("3.3 v", "has an unknown unit"),
        ("1 k", "has an unknown unit"),
        ("3 k%", "has an unknown unit"),
        ("1 kmin", "has an unknown unit"),
        ("1e V", "has an unknown unit"),
        ("0x10 V", "has an unknown unit"),
        ("1e999 V", "is out of range"),
        ("1e99999999999999999999 V", "is out of range"),
        ("1e2147483647 kV", "is out of range"),
        ("10 ms", "is a time"),
    ];
    for (text, wrong) in rows {
        let error = text.parse::<Volts>().expect_err(text);
        assert!(error.wrong.contains(wrong), "{text}: {}", error.wrong);
        assert!(error.expected.starts_with("a voltage such as \"3.3 V\""), "{text}: {}", error.expected);
    }
    assert!("-1 ohm".parse::<Ohms>().is_err());
    assert!("-1 ms".parse::<Seconds>().is_err());
    assert!("-1 Hz".parse::<Hertz>().is_err());
    assert!("4e9 s".parse::<Seconds>().is_err());
    assert!("-1 %".parse::<Percent>().is_ok());
    let long = format!("1 {}", "x".repeat(10_000)).parse::<Volts>().unwrap_err();
    assert!(long.to_string().len() < 300, "a message stays readable");
}

/// Other notations, and what the message says was meant.
#[test]
fn other_notations() {
    fn meant<Q: Quantity + std::str::FromStr<Err = QuantityError>>(text: &str) -> String {
        match text.parse::<Q>() {
            Ok(_) => "accepted".to_owned(),
            Err(error) => error.help(),
        }
    }
    type Row = (fn(&str) -> String, &'static str, &'static str);
    let rows: &[Row] = &[
        (meant::<Volts>, "3,25 V", "did you mean \"3.25 V\"? Use a point for the decimals"),
        (meant::<Volts>, "-0,1 V", "did you mean \"-0.1 V\"?"),
        (meant::<Volts>, "3\u{b7}25 V", "did you mean \"3.25 V\"?"),
        (meant::<Ohms>, "1.000,5 ohm", "did you mean \"1000.5 ohm\"?"),
        (meant::<Ohms>, "1,000.5 ohm", "did you mean \"1000.5 ohm\"?"),
        (meant::<Ohms>, "1,000,000 ohm", "did you mean \"1000000 ohm\"?"),
        (meant::<Ohms>, "1,000 ohm", "did you mean \"1.000 ohm\" or \"1000 ohm\"?"),
        (meant::<Ohms>, "1 000 ohm", "did you mean \"1000 ohm\"?"),
        (meant::<Ohms>, "1'000 ohm", "did you mean \"1000 ohm\"?"),
        (meant::<Ohms>, "1_000 ohm", "did you mean \"1000 ohm\"?"),
        (meant::<Volts>, "\u{2212}0.1 V", "did you mean \"-0.1 V\"?"),
        (meant::<Volts>, "\u{ff13}\u{ff0e}\u{ff13} V", "did you mean \"3.3 V\"?"),
        (meant::<Volts>, "3.3\u{200b}V", "did you mean \"3.3 V\"?"),
        (meant::<Volts>, "3.3\u{a0}V", "accepted"),
        (meant::<Volts>, "3.3\u{2009}V", "accepted"),
        (meant::<Volts>, "3.3\u{202f}V", "accepted"),
        (meant::<Volts>, "3V3", "did you mean \"3.3 V\"?"),
        (meant::<Ohms>, "4k7", "did you mean \"4.7 kohm\"?"),
        (meant::<Ohms>, "1R5", "did you mean \"1.5 ohm\"?"),
        (meant::<Ohms>, "10k", "did you mean \"10 kohm\"?"),
        (meant::<Ohms>, "10 \u{3a9}", "accepted"),
        (meant::<Ohms>, "10 k\u{3c9}", "did you mean \"10 kohm\"?"),
        (meant::<Ohms>, "10 KOhm", "did you mean \"10 kohm\"?"),
        (meant::<Volts>, "3.3 v", "did you mean \"3.3 V\"?"),
        (meant::<Volts>, "3.3 volts", "did you mean \"3.3 V\"?"),
        (meant::<Volts>, "3,3 volts", "did you mean \"3.3 V\"?"),
        (meant::<Seconds>, "10 MS", "did you mean \"10 ms\"?"),
        (meant::<Seconds>, "10 sec", "did you mean \"10 s\"?"),
        (meant::<Seconds>, "5 mins", "did you mean \"5 min\"?"),
        (meant::<Hertz>, "32 mhz", "did you mean \"32 MHz\"?"),
        (meant::<Hertz>, "32 KHZ", "did you mean \"32 kHz\"?"),
        (meant::<Amps>, "150 ma", "did you mean \"150 mA\"?"),
        (meant::<Percent>, "2 percent", "did you mean \"2 %\"?"),
        (meant::<Volts>, "3 furlong", "expected a voltage such as \"3.3 V\"; known units: V, mV, uV, kV"),
        (meant::<Seconds>, "3 furlong", "expected a time such as \"10 ms\"; known units: s, ms, us, ns, min"),
        (meant::<Seconds>, "3,5 furlong", "known units: s, ms, us, ns, min"),
        (meant::<Volts>, "3.3 ohm", "expected a voltage such as \"3.3 V\""),
        (meant::<Volts>, "high", "expected a voltage such as \"3.3 V\""),
    ];
    for (meant, text, help) in rows {
        let said = meant(text);
        assert!(said.contains(help), "{text:?}: {said}");
    }
    assert_eq!(number_meant("4k7").as_deref(), Some("4700"));
    assert_eq!(number_meant("0,5").as_deref(), Some("0.5"));
    assert_eq!(number_meant("5"), None);
}

#[derive(Debug, PartialEq, serde::Deserialize)]
struct Holder {
    limits: LimitsOf<Volts>,
}

#[test]
fn limits_in_a_file() {
    let read = |text: &str| toml::from_str::<Holder>(&format!("limits = {text}"));
    let limits = read(r#"{ min = "3.2 V", max = "3.4 V" }"#).unwrap().limits;
    assert_eq!(limits.limits(), bench_run::Limits::between(3.2, 3.4));
    assert_eq!(limits.unit(), MeasurementUnit::Volts);
    assert_eq!(read(r#"{ max = "50 mV" }"#).unwrap().limits.limits(), bench_run::Limits::at_most(0.05));
    assert!(read(r#"{ min = "3 V", max = "3000 mV" }"#).is_ok(), "a single point is an interval");
    let rows = [
        (r#"{ min = "3.4 V", max = "3.2 V" }"#, "crossed"),
        ("{}", "without a limit"),
        (r#"{ min = 3.2 }"#, "3.2 has no unit"),
        (r#"{ min = 3 }"#, "3 has no unit"),
        (r#"{ min = "3.2 A" }"#, "is a current"),
        (r#"{ low = "3.2 V" }"#, "`low`"),
        (r#"["3.2 V", "3.4 V"]"#, "a list is not a pair of limits"),
        (r#""3.2 V""#, "limits such as"),
    ];
    for (text, wrong) in rows {
        let error = read(text).expect_err(text);
        assert!(error.message().contains(wrong), "{text}: {}", error.message());
        assert!(error.span().is_some(), "{text}: without a place");
    }
}

#[test]
fn plain_numbers() {
    #[derive(Debug, serde::Deserialize)]
    struct Holder {
        codes: LimitsOf<Number>,
    }
    let read = |text: &str| toml::from_str::<Holder>(&format!("codes = {text}"));
    assert_eq!(read("{ min = 0, max = 4095.5 }").unwrap().codes.limits(), bench_run::Limits::between(0.0, 4095.5));
    for text in ["{ min = nan }", "{ max = inf }", r#"{ min = "1" }"#] {
        assert!(read(text).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn shown_with_all_digits_and_read_back(value in -1e12_f64..1e12) {
        prop_assert_eq!(Volts::new(value).to_string().parse::<Volts>(), Ok(Volts::new(value)));
        prop_assert_eq!(Percent::new(value).to_string().parse::<Percent>(), Ok(Percent::new(value)));
        prop_assert_eq!(Ohms::new(value.abs()).to_string().parse::<Ohms>(), Ok(Ohms::new(value.abs())));
    }

    /// A value in a report can be copied into a plan: it is the same to the digits shown.
    #[test]
    fn shown_for_people_and_read_back(mantissa in 1.0_f64..10.0, power in -9_i32..9, negative: bool) {
        let value = mantissa * 10_f64.powi(power) * if negative { -1.0 } else { 1.0 };
        let (read, unit) = parse_quantity(&MeasurementUnit::Volts.show(value)).unwrap();
        prop_assert_eq!(unit, MeasurementUnit::Volts);
        prop_assert!((read - value).abs() <= value.abs() * 1e-3, "{} became {}", value, read);
    }

    #[test]
    fn every_prefix_is_its_power_of_ten(number in 0.001_f64..1000.0, prefix in 0_usize..9) {
        let (prefix, scale) = [("n", -9), ("u", -6), ("\u{b5}", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9),
            ("\u{3bc}", -6)][prefix];
        let (value, unit) = parse_quantity(&format!("{number} {prefix}A")).unwrap();
        prop_assert_eq!(unit, MeasurementUnit::Amps);
        prop_assert!((value / number / 10_f64.powi(scale) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn hostile_text_is_refused(text in "\\PC*") {
        // What a message suggests can be read.
        if let Err(error) = parse_quantity(&text) {
            for meant in &error.meant {
                prop_assert!(parse_quantity(meant).is_ok(), "{text:?}: {meant:?}");
            }
        }
        if let Ok((value, _)) = parse_quantity(&text) {
            prop_assert!(value.is_finite());
        }
    }

    #[test]
    fn near_quantities_are_refused_with_help(text in "[+-]?[0-9.eE]{0,12}[ \u{a0}\t]?[nu\u{b5}mkMG]?(V|A|ohm|\u{3a9}|s|min|%|e|E)?") {
        // What a message suggests can be read.
        if let Err(error) = parse_quantity(&text) {
            for meant in &error.meant {
                prop_assert!(parse_quantity(meant).is_ok(), "{text:?}: {meant:?}");
            }
        }
        if let Ok((value, _)) = parse_quantity(&text) {
            prop_assert!(value.is_finite());
        }
        let _ = text.parse::<Seconds>().map(Seconds::duration);
    }
}
