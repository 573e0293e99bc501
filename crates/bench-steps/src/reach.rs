//! What the readings of the usual instruments can be: for the tables of each kind ([`crate::Kind::REACHES`]).

use bench_instruments::OPEN_OHMS;
use bench_plan::{Bound, Reach};

/// A resistance by the ohmmeter, or by a source and its resistor.
pub(crate) const fn ohms(key: &'static str) -> Reach {
    Reach {
        key,
        least: Bound::Value(0.0, "a resistance is not negative"),
        most: Bound::Value(OPEN_OHMS, "the bench reads no more, not even at an open contact"),
    }
}

/// A current by the monitor of the rail that the parameter `rail` names; with `*` the key of the limits names it.
pub(crate) const fn amps(key: &'static str, rail: &'static str) -> Reach {
    Reach { key, least: Bound::BackAmps(rail), most: Bound::RailAmps(rail) }
}

/// A voltage at a contact that any rail may reach.
pub(crate) const fn volts(key: &'static str) -> Reach {
    Reach { key, least: Bound::Value(-0.3, CLAMPED), most: Bound::AnyRailVolts }
}

/// A voltage at a contact that the ports' supply reaches, and no other rail.
pub(crate) const fn port_volts(key: &'static str) -> Reach {
    Reach { key, least: Bound::Value(-0.3, CLAMPED), most: Bound::PortVolts }
}

/// A voltage across a diode, with the source of the measure bus.
pub(crate) const fn diode_volts(key: &'static str) -> Reach {
    Reach { key, least: Bound::Value(0.0, "the source drives no negative voltage"), most: Bound::SourceVolts }
}

/// A share of a whole.
pub(crate) const fn share(key: &'static str) -> Reach {
    Reach {
        key,
        least: Bound::Value(0.0, "a share is not negative"),
        most: Bound::Value(100.0, "a share is not more than the whole"),
    }
}

/// A number of things.
pub(crate) const fn count(key: &'static str) -> Reach {
    Reach { key, least: Bound::Value(0.0, "a number of packets is not negative"), most: Bound::Unknown }
}

/// An error of a quantity that cannot be more than this, in percent.
pub(crate) const fn error(key: &'static str, percent: f64, why: &'static str) -> Reach {
    Reach { key, least: Bound::Value(-percent, why), most: Bound::Value(percent, why) }
}

const CLAMPED: &str = "the input of the ADC is clamped there";
