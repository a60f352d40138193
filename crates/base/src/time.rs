//! Time as an argument: a monotonic clock for timers, a wall clock for dates that a protocol writes.

use alloc::string::String;
use core::fmt;
use core::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A point on the host's monotonic clock, in microseconds since an origin of the host's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The origin.
    pub const ZERO: Instant = Instant(0);

    /// From microseconds since the origin.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Instant(micros)
    }

    /// Microseconds since the origin.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// This point plus a duration; the far end of time when that does not fit.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Instant(self.0.saturating_add(micros))
    }

    /// How long ago `earlier` was; zero when it is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Instant) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// What a host says of the time with every input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// For timers. Never runs backwards.
    pub mono: Instant,
    /// For dates on the wire. May jump.
    pub wall: DateTime,
}

impl Now {
    /// Both clocks.
    #[must_use]
    pub const fn new(mono: Instant, wall: DateTime) -> Self {
        Now { mono, wall }
    }

    /// Both clocks moved on by the same duration.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Now { mono: self.mono.plus(duration), wall: self.wall.plus(duration) }
    }
}

/// A date with time and offset as RFC 3339 writes it: the DateTime of CPIM (RFC 3862 §4.4) and IMDN (RFC 5438 §11.1).
///
/// Years 0 to 9999; the fraction is kept to the nanosecond.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DateTime(OffsetDateTime);

/// Why a text is no RFC 3339 date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateTimeError;

impl fmt::Display for DateTimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a date and time of RFC 3339")
    }
}

impl core::error::Error for DateTimeError {}

impl DateTime {
    /// 1970-01-01T00:00:00Z.
    pub const UNIX_EPOCH: DateTime = DateTime(OffsetDateTime::UNIX_EPOCH);

    /// From microseconds since 1970-01-01T00:00:00Z, in UTC.
    ///
    /// # Errors
    /// The date is outside the years that RFC 3339 can write.
    pub fn from_unix_micros(micros: i64) -> Result<Self, DateTimeError> {
        let nanos = i128::from(micros).saturating_mul(1000);
        let date = OffsetDateTime::from_unix_timestamp_nanos(nanos).map_err(|_| DateTimeError)?;
        if (0..=9999).contains(&date.year()) { Ok(DateTime(date)) } else { Err(DateTimeError) }
    }

    /// Microseconds since 1970-01-01T00:00:00Z (rounded down).
    #[must_use]
    pub fn unix_micros(self) -> i64 {
        let micros = self.0.unix_timestamp_nanos().div_euclid(1000);
        i64::try_from(micros).unwrap_or(if micros < 0 { i64::MIN } else { i64::MAX })
    }

    /// Reads an RFC 3339 date-time. `t` and `z` may be lower case; an offset is required (§5.6).
    ///
    /// # Errors
    /// The text is not one, or names a date that does not exist.
    pub fn parse(text: &str) -> Result<Self, DateTimeError> {
        // The library also reads a blank in place of the T, which the grammar does not have.
        if text.len() > 64 || !matches!(text.as_bytes().get(10), Some(b'T' | b't')) {
            return Err(DateTimeError);
        }
        OffsetDateTime::parse(text, &Rfc3339).map(DateTime).map_err(|_| DateTimeError)
    }

    /// Reads a date of RFC 1123 in GMT, as SIP (RFC 3261 §20.17) and content indirection (RFC 4483 §5.7) write it:
    /// `Sat, 21 Nov 2026 10:00:00 GMT`. The day of the week is not compared with the date.
    ///
    /// # Errors
    /// The text is not one, or names a date that does not exist.
    pub fn parse_rfc1123(text: &str) -> Result<Self, DateTimeError> {
        const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let place = |names: &[&str], name: &str| names.iter().position(|n| n.eq_ignore_ascii_case(name));
        let (weekday, rest) = text.split_once(", ").ok_or(DateTimeError)?;
        place(&WEEKDAYS, weekday).ok_or(DateTimeError)?;
        let mut parts = rest.splitn(5, ' ');
        let mut part = |length: usize| parts.next().filter(|p| p.len() == length).ok_or(DateTimeError);
        let (day, month, year, time) = (part(2)?, part(3)?, part(4)?, part(8)?);
        if part(3)? != "GMT" {
            return Err(DateTimeError);
        }
        let month = place(&MONTHS, month).ok_or(DateTimeError)?.saturating_add(1);
        DateTime::parse(&alloc::format!("{year}-{month:02}-{day}T{time}Z"))
    }

    /// This date plus a duration; unchanged when that does not fit the calendar.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let Ok(duration) = time::Duration::try_from(duration) else { return self };
        self.0.checked_add(duration).map_or(self, DateTime)
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = self.0;
        let mut text = *b"0000-00-00T00:00:00";
        let numbers = [
            (0..4, date.year().unsigned_abs()),
            (5..7, u8::from(date.month()).into()),
            (8..10, date.day().into()),
            (11..13, date.hour().into()),
            (14..16, date.minute().into()),
            (17..19, date.second().into()),
        ];
        for (place, number) in numbers {
            write_digits(text.get_mut(place).unwrap_or_default(), number);
        }
        f.write_str(core::str::from_utf8(&text).unwrap_or_default())?;
        let nanos = date.nanosecond();
        if nanos > 0 {
            let mut text = *b".000000000";
            write_digits(text.get_mut(1..).unwrap_or_default(), nanos);
            let length = if nanos.checked_rem(1_000_000) == Some(0) { ".000".len() } else { text.len() };
            f.write_str(core::str::from_utf8(text.get(..length).unwrap_or_default()).unwrap_or_default())?;
        }
        let (hours, minutes, _) = date.offset().as_hms();
        if hours == 0 && minutes == 0 {
            return f.write_str("Z");
        }
        let sign = if hours < 0 || minutes < 0 { '-' } else { '+' };
        write!(f, "{sign}{:02}:{:02}", hours.unsigned_abs(), minutes.unsigned_abs())
    }
}

/// Writes as many of the last digits of a number as there is room for. (`{:02}` and the like take several times as long.)
fn write_digits(room: &mut [u8], mut number: u32) {
    for digit in room.iter_mut().rev() {
        *digit = b'0'.saturating_add(u8::try_from(number % 10).unwrap_or(0));
        number /= 10;
    }
}

impl fmt::Debug for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<DateTime> for String {
    fn from(date: DateTime) -> String {
        alloc::format!("{date}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn reads_and_writes_rfc_3339() {
        for text in [
            "1985-04-12T23:20:50.520Z",
            "1996-12-19T16:39:57-08:00",
            "2006-04-04T12:16:49-05:00",
            "2026-11-21T00:00:00Z",
            "2026-11-21T00:00:00.123456789+05:30",
        ] {
            assert_eq!(DateTime::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "2026-11-21",
            "2026-11-21T10:00:00",
            "2026-02-30T10:00:00Z",
            "2026-11-21T25:00:00Z",
            "2026-11-21 10:00:00Z",
            "x",
        ] {
            assert_eq!(DateTime::parse(text), Err(DateTimeError), "{text}");
        }
        assert!(DateTime::parse("2026-11-21t10:00:00z").is_ok());
    }

    #[test]
    fn reads_rfc_1123() {
        let date = DateTime::parse("2026-11-21T10:00:00Z").unwrap();
        assert_eq!(DateTime::parse_rfc1123("Sat, 21 Nov 2026 10:00:00 GMT"), Ok(date));
        assert_eq!(DateTime::parse_rfc1123("sat, 21 NOV 2026 10:00:00 GMT"), Ok(date));
        for text in [
            "",
            "Sat, 21 Nov 2026 10:00:00 EST",
            "Sat, 21 Nov 2026 10:00:00 GMT ",
            "Sat, 21 Nov 2026 10:00:00",
            "Sat,21 Nov 2026 10:00:00 GMT",
            "Say, 21 Nov 2026 10:00:00 GMT",
            "Sat, 1 Nov 2026 10:00:00 GMT",
            "Sat, 21 June 2026 10:00:00 GMT",
            "Sat, 31 Feb 2026 10:00:00 GMT",
            "Sat, 21 Nov 26 10:00:00 GMT",
            "Sat, 21 Nov 2026 10:00Z00 GMT",
            "Sat, 21 Nov 2026 1:00:00 GMT",
        ] {
            assert_eq!(DateTime::parse_rfc1123(text), Err(DateTimeError), "{text}");
        }
    }

    #[test]
    fn time_saturates() {
        assert_eq!(Instant::from_micros(u64::MAX).plus(Duration::MAX).as_micros(), u64::MAX);
        assert_eq!(Instant::ZERO.since(Instant::from_micros(9)), Duration::ZERO);
        let far = DateTime::parse("9999-12-31T23:59:59Z").unwrap();
        assert_eq!(far.plus(Duration::MAX), far);
        assert!(DateTime::from_unix_micros(i64::MAX).is_err());
        assert!(DateTime::from_unix_micros(i64::MIN).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(micros in -62_167_219_200_000_000i64..253_402_300_799_000_000) {
            let date = DateTime::from_unix_micros(micros).unwrap();
            prop_assert_eq!(DateTime::parse(&date.to_string()).unwrap(), date);
            prop_assert_eq!(date.unix_micros(), micros);
        }

        #[test]
        fn no_text_panics(text in ".{0,80}") {
            let _ = DateTime::parse(&text);
        }
    }
}
