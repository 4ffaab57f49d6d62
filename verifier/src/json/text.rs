//! Bytes as text, in one spelling each: base64, hex, whole numbers, times and ids; never a lenient one.

use crate::error::{Flaw, flaw};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clyra_spec::limits::WHOLE_NUMBER_MAX;

/// Standard base64 with its padding and with zero bits at the end.
pub(crate) fn base64(spelled: &str) -> Result<Vec<u8>, Flaw> {
    match STANDARD.decode(spelled) {
        Ok(bytes) if STANDARD.encode(&bytes) == spelled => Ok(bytes),
        _ => flaw(format!("`{}` is not canonical base64", short(spelled))),
    }
}

/// Lower-case hex of exactly `N` bytes.
pub(crate) fn hex<const N: usize>(spelled: &str) -> Result<[u8; N], Flaw> {
    let mut bytes = [0; N];
    let (pairs, rest) = spelled.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return flaw(format!("`{}` is not {} lower-case hex digits", short(spelled), 2 * N));
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        match (nibble(*high), nibble(*low)) {
            (Some(high), Some(low)) => *byte = high << 4 | low,
            _ => return flaw(format!("`{}` is not lower-case hex", short(spelled))),
        }
    }
    Ok(bytes)
}

/// Bytes as lower-case hex.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('?');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// A whole number in decimal, without sign or leading zero, at most 2^53−1.
pub(crate) fn whole(spelled: &str) -> Result<u64, Flaw> {
    let plain = spelled == "0" || !spelled.starts_with(['0', '+']);
    match spelled.parse::<u64>() {
        Ok(number) if plain && number <= WHOLE_NUMBER_MAX => Ok(number),
        _ => flaw(format!("`{}` is not a plain whole number up to 2^53-1", short(spelled))),
    }
}

/// RFC 3339 in UTC with `Z`: `2026-01-02T03:04:05.678Z`, the fraction left out or of one to nine digits.
pub(crate) fn time(spelled: &str) -> Result<(), Flaw> {
    let bytes = spelled.as_bytes();
    let number = |from: usize, len: usize| -> Option<u32> {
        bytes
            .get(from..from + len)?
            .iter()
            .try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u32::from(digit - b'0')))
    };
    let mark = |at: usize, is: u8| bytes.get(at) == Some(&is);
    let within = |number: Option<u32>, min: u32, max: u32| number.is_some_and(|n| (min..=max).contains(&n));
    let fraction = match bytes.get(19..) {
        Some(b"Z") => true,
        Some([b'.', digits @ .., b'Z']) => {
            (1..=9).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit)
        }
        _ => false,
    };
    let month = number(5, 2);
    let days = match month {
        Some(2) => 29,
        Some(4 | 6 | 9 | 11) => 30,
        _ => 31,
    };
    let holds = number(0, 4).is_some()
        && mark(4, b'-')
        && within(month, 1, 12)
        && mark(7, b'-')
        && within(number(8, 2), 1, days)
        && mark(10, b'T')
        && within(number(11, 2), 0, 23)
        && mark(13, b':')
        && within(number(14, 2), 0, 59)
        && mark(16, b':')
        && within(number(17, 2), 0, 60)
        && fraction;
    if holds {
        Ok(())
    } else {
        flaw(format!("`{}` is not a time like `2026-01-02T03:04:05Z`", short(spelled)))
    }
}

/// Whole seconds of a time that [`time`] has found in order, from some moment on; a leap second counts as the next.
pub(crate) fn seconds(time: &str) -> i64 {
    let number = |from: usize, len: usize| -> i64 {
        time.get(from..from + len).and_then(|digits| digits.parse().ok()).unwrap_or_default()
    };
    // Years begin in March here, so that a leap day is their last.
    let (year, month) = (number(0, 4) - i64::from(number(5, 2) <= 2), (number(5, 2) + 9) % 12);
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + number(8, 2);
    ((days * 24 + number(11, 2)) * 60 + number(14, 2)) * 60 + number(17, 2)
}

/// A UUID of version 7 in lower case.
pub(crate) fn uuid_v7(spelled: &str) -> Result<(), Flaw> {
    let bytes = spelled.as_bytes();
    let holds = bytes.len() == 36
        && bytes.iter().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => *byte == b'-',
            14 => *byte == b'7',
            19 => matches!(byte, b'8' | b'9' | b'a' | b'b'),
            _ => nibble(*byte).is_some(),
        });
    if holds { Ok(()) } else { flaw(format!("`{}` is not a UUID of version 7", short(spelled))) }
}

/// A key id: a name of 1 to 100 characters, `+`, eight lower-case hex digits.
pub(crate) fn key_id(spelled: &str) -> Result<(), Flaw> {
    match spelled.split_once('+') {
        Some((name, digits)) if is_key_name(name) && hex::<4>(digits).is_ok() => Ok(()),
        _ => flaw(format!("`{}` is not a key id, `name+` and 8 hex digits is", short(spelled))),
    }
}

/// A key's name: 1 to 100 of `A-Z a-z 0-9 . _ - /`.
pub(crate) fn is_key_name(name: &str) -> bool {
    (1..=100).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/'))
}

/// The beginning of a text, fit to be quoted in a report: bounded, without control characters.
pub(crate) fn short(spelled: &str) -> String {
    let mut quoted: String = spelled.chars().take(QUOTED_CHARS_MAX).flat_map(char::escape_debug).collect();
    if spelled.chars().nth(QUOTED_CHARS_MAX).is_some() {
        quoted.push('…');
    }
    quoted
}

const QUOTED_CHARS_MAX: usize = 80;

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_has_one_spelling() {
        assert_eq!(base64("AQI="), Ok(vec![1, 2]));
        for bad in ["AQI", "AQJ=", "AQ I=", "AQI=\n", "_w==", "====", "AQI=="] {
            assert!(base64(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hex_has_one_spelling() {
        assert_eq!(hex::<2>("0aff"), Ok([0x0a, 0xff]));
        assert_eq!(to_hex(&[0x0a, 0xff]), "0aff");
        for bad in ["0aFF", "0af", "0aff0", "0aff00", "0ag0", ""] {
            assert!(hex::<2>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_times_and_ids_have_one_spelling() {
        assert_eq!(whole("9007199254740991"), Ok(WHOLE_NUMBER_MAX));
        for bad in ["9007199254740992", "01", "+1", "-1", "", "1 "] {
            assert!(whole(bad).is_err(), "{bad}");
        }
        for good in ["2026-11-24T10:00:00Z", "2026-11-24T10:00:00.123456Z"] {
            assert!(time(good).is_ok(), "{good}");
        }
        for bad in [
            "2026-11-24T10:00:00",
            "2026-13-24T10:00:00Z",
            "2026-11-24 10:00:00Z",
            "2026-11-24T10:00:00.Z",
            "2026-02-30T10:00:00Z",
        ] {
            assert!(time(bad).is_err(), "{bad}");
        }
        assert!(uuid_v7("01936f5e-8c1a-7b3c-9d4e-5f60718293a4").is_ok());
        assert!(uuid_v7("01936f5e-8c1a-4b3c-9d4e-5f60718293a4").is_err());
        assert!(uuid_v7("01936F5E-8c1a-7b3c-9d4e-5f60718293a4").is_err());
    }
}
