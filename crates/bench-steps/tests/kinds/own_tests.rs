//! `sequence` and `external`: what is refused when the plan is checked, and what is asked of the instruments.

use crate::bed::{Bed, RecordedLog, Setup};
use crate::plans::World;
use bench_instruments::{ManualClock, with_deadline};
use bench_run::BenchTime;
use std::time::Duration;

fn sequence(actions: &str, limits: &str) -> String {
    format!("kind = 'sequence'\ndo = [ {actions} ]\n{limits}")
}

#[test]
fn mistakes_are_reported_at_their_place() {
    let world = World::new();
    let volts = "limits.v = { max = '1 V' }";
    let measure = "{ measure = 'volts', at = 'A0', as = 'v' }";
    // The step, what is wrong, what to do, and what of the text is marked.
    let rows = [
        (
            sequence("{ mesure = 'volts', at = 'A0', as = 'v' }", volts),
            "unknown action `mesure`",
            "`measure`",
            "mesure",
        ),
        (sequence("{ measure = 'volt', at = 'A0', as = 'v' }", volts), "unknown value `volt`", "`volts`", "'volt'"),
        (sequence("{ measure = 'volts', at = 'A00', as = 'v' }", volts), "no pin `A00`", "`A0`", "'A00'"),
        (sequence("{ measure = 'volts', att = 'A0', as = 'v' }", volts), "no key `att`", "`at`", "att"),
        (sequence("{ measure = 'volts', as = 'v' }", volts), "without `at`", "a pin such as", "{ measure"),
        (sequence("{ measure = 'amps', as = 'v' }", volts), "without `rail`", "a rail such as", "{ measure"),
        (
            sequence("{ measure = 'volts', at = 'A0', rail = '3V3', as = 'v' }", volts),
            "not measured by `at`",
            "volts:",
            "'A0'",
        ),
        (sequence("{ measure = 'ohms', rail = '3V3', as = 'v' }", volts), "not measured by `rail`", "ohms", "'3V3'"),
        (
            sequence("{ measure = 'volts', at = 'GND', as = 'v' }", volts),
            "contacts carry this name",
            "by its number",
            "'GND'",
        ),
        (sequence("{ drive = 'VCC', high = true }", volts), "contacts carry this name", "by its number", "'VCC'"),
        (sequence("{ drive = 2, high = true }", volts), "no nail that can drive", "supply", "2"),
        (sequence("{ drive = 'D4', high = 'yes' }", volts), "a text where true or false", "true or false", "'yes'"),
        (sequence("{ rail = '3V4', on = true }", volts), "no rail `3V4`", "`3V3`", "'3V4'"),
        (sequence("{ wait = '5' }", volts), "has no unit", "10 ms", "'5'"),
        (sequence("{ wait = 5 }", volts), "a number where a time", "10 ms", "5"),
        (sequence("{ wait = '1000 s' }", volts), "too long", "at most", "'1000 s'"),
        (sequence("{ port = 'TX', to = 'high' }", volts), "carries the link", "another pin", "'TX'"),
        (sequence("{ adc = 'D4' }", volts), "no analog input", "bench pins", "'D4'"),
        (sequence("{ i2c = 'eeprom-i2', read = 2 }", volts), "no part `eeprom-i2`", "eeprom-i2c", "'eeprom-i2'"),
        (sequence("{ i2c = 'fram-spi', read = 2 }", volts), "no I2C part", "other action", "'fram-spi'"),
        (sequence("{ i2c = 'eeprom-i2c', write = '0' }", volts), "not bytes", "hexadecimal", "'0'"),
        (sequence("{ modem = 'AT', capture = 'x' }", volts), "no group", "parentheses", "'x'"),
        (sequence("{ modem = 'AT', capture = '(' }", volts), "not a regular expression", "pattern", "'('"),
        (sequence("{ note = 'a', drive = 'D4', high = true }", volts), "has no key", "two actions", ""),
        (sequence("{ wait = '5 ms', as = 'v' }", volts), "no reading", "take `as` out", "as"),
        (sequence("'wait'", volts), "a text is not an action", "expected an action", "'wait'"),
        (sequence("{ as = 'v' }", volts), "without a verb", "rail, drive", "{ as"),
        (sequence(&format!("{measure}, {measure}"), volts), "two readings are called `v`", "of its own", "{ measure"),
        (sequence(measure, "limits.w = { max = '1 V' }"), "no reading is called `w`", "v", "w"),
        (sequence(measure, "limits.v = { max = '1 A' }"), "has V", "unit of the reading", "v"),
        (sequence(measure, ""), "missing key `limits`", "", ""),
        (sequence(measure, "limits = {}"), "measures nothing", "", ""),
        (sequence(&format!("{measure}, {{ calculate = 'w * 2', as = 'x' }}"), volts), "called `w`", "", "'w * 2'"),
        (
            sequence(&format!("{measure}, {{ calculate = 'v *', as = 'x' }}"), volts),
            "cannot be calculated",
            "",
            "'v *'",
        ),
        (sequence(&format!("{measure}, {{ calculate = 'v' }}"), volts), "without `as`", "as = ", "calculate"),
        (sequence("{ for = 'p', in = [], do = [ { read = '{p}' } ] }", volts), "does nothing", "for = ", "{ for"),
        (sequence("{ for = 'p', in = ['A9'], do = [ { read = '{p}' } ] }", volts), "no pin `A9`", "", "'{p}'"),
        (sequence("{ for = 'p', on = ['A0'], do = [ { read = '{p}' } ] }", volts), "no key `on`", "`in`", "on"),
        ("kind = 'external'\nprogram = []\nlimits.v = { max = 1 }".into(), "no program", "python3", "[]"),
        (
            "kind = 'external'\nprogram = ['x']\nuses = ['nail']\nlimits.v = { max = 1 }".into(),
            "resource `nail`",
            "`nails`",
            "",
        ),
        (
            "kind = 'external'\nprogram = ['x']\nrails = ['3V4']\nlimits.v = { max = 1 }".into(),
            "no rail `3V4`",
            "`3V3`",
            "'3V4'",
        ),
        (
            "kind = 'external'\nprogram = ['x']\ncovers = ['A00']\nlimits.v = { max = 1 }".into(),
            "no pin `A00`",
            "`A0`",
            "'A00'",
        ),
        (
            "kind = 'external'\nprogram = ['x']\ncovers.w = ['A0']\nlimits.v = { max = 1 }".into(),
            "no reading is called `w`",
            "v",
            "w",
        ),
        ("kind = 'external'\nprogram = ['x']\nlimits = {}".into(), "measures nothing", "", ""),
    ];
    let mut wrong = Vec::new();
    for (step, message, help, marked) in rows {
        let Err(problem) = world.check(&step) else {
            wrong.push(format!("{step}: accepted"));
            continue;
        };
        let span = problem.span.map(|span| (span.offset(), span.offset() + span.len()));
        let shown = span.and_then(|(from, to)| problem.file.inner().get(from..to)).unwrap_or_default();
        let helped = problem.help.clone().unwrap_or_default();
        if !problem.message.contains(message) || !helped.contains(help) || !shown.starts_with(marked) {
            wrong.push(format!("{step}\n  {}\n  {helped}\n  marked: {shown}", problem.message));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_sequence_uses_what_its_actions_need() {
    let world = World::new();
    let rows = [
        ("{ measure = 'volts', rail = '3V3', as = 'v' }", "", ""),
        ("{ measure = 'volts', at = 'A0', as = 'v' }", "measure-bus", ""),
        ("{ drive = 'D4', high = true }, { measure = 'volts', at = 'A0', as = 'v' }", "measure-bus nails", ""),
        ("{ adc = 'A0', as = 'v' }", "ports", "dut"),
        ("{ rail = '3V3', on = false }, { adc = 'A0', as = 'v' }", "dut ports rails", ""),
    ];
    for (actions, uses, shares) in rows {
        let plan = world.check(&sequence(actions, "limits.v = { max = '1 V' }")).unwrap();
        let step = &plan.steps[0].step;
        assert_eq!((step.uses.join(" "), step.shares.join(" ")), (uses.to_owned(), shares.to_owned()), "{actions}");
    }
}

#[test]
fn an_instrument_that_fails_is_an_error_and_everything_is_released() {
    let world = World::new();
    let step = sequence(
        "{ drive = 'D4', high = true }, { measure = 'volts', at = 'A0', as = 'v' }, { calculate = 'v / 2', as = 'half' }",
        "limits.half = { min = '0 V', max = '3 V' }",
    );
    let plan = world.check(&step).unwrap();
    let clock = ManualClock::new();
    let (_, nest) = Bed::new(Setup::default(), &world.fixture, world.family(), &clock);
    let log = RecordedLog::default();
    let run = plan.steps[0].procedure.run(&nest, &log);
    let ended = clock.run(with_deadline(&clock, BenchTime::default() + Duration::from_secs(60), run));
    assert!(matches!(ended, Ok(Ok(()))), "{ended:?}");
    assert!(log.reading("half").is_some_and(f64::is_finite));
    assert_eq!(log.reading("v"), None, "a reading without limits is no measurement");
}
