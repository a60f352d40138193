//! Date (RFC 3261 §20.17): RFC 1123 form, GMT alone.

use super::TypedHeader;
use crate::error::HeaderError;
use crate::limits::Limits;
use crate::name::HeaderName;
use alloc::vec::Vec;
use cpm_base::DateTime;

/// When the request or response was sent first: `Sat, 21 Nov 2026 10:00:00 GMT`. To the second; written in GMT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date(pub DateTime);

/// In the order of days since 1970-01-01, a Thursday.
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl TypedHeader for Date {
    const NAME: HeaderName = HeaderName::Date;

    fn read(text: &str, _: &Limits) -> Result<Date, HeaderError> {
        let malformed = HeaderError::Malformed { header: "Date", what: "not a date in GMT" };
        DateTime::parse_rfc1123(text).map(Date).map_err(|_| malformed)
    }

    fn write(&self, out: &mut Vec<u8>) {
        // What RFC 3339 prints of a date in UTC has its parts at fixed places; the year has four digits.
        let seconds = self.0.unix_micros().div_euclid(1_000_000);
        let utc =
            DateTime::from_unix_micros(seconds.saturating_mul(1_000_000)).unwrap_or(DateTime::UNIX_EPOCH);
        let text = alloc::format!("{utc}");
        let part = |from: usize, to: usize| text.get(from..to).unwrap_or("");
        let weekday = usize::try_from(seconds.div_euclid(86_400).rem_euclid(7)).unwrap_or(0);
        let month = part(5, 7).parse::<usize>().unwrap_or(1).saturating_sub(1);
        let (weekday, month) = (WEEKDAYS.get(weekday).unwrap_or(&""), MONTHS.get(month).unwrap_or(&""));
        let (day, year, time) = (part(8, 10), part(0, 4), part(11, 19));
        out.extend_from_slice(alloc::format!("{weekday}, {day} {month} {year} {time} GMT").as_bytes());
    }
}
