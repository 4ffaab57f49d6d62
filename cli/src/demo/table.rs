//! The demo's table: step, what was sent, expected, got, ok. It prints what it is given.

use super::ending::place;
use crate::{error::Error, standing::Standing};
use serde::Serialize;
use serde_json::json;

/// One step as it was seen.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    pub(super) step: &'static str,
    pub(super) sent: String,
    pub(super) expected: String,
    pub(super) got: String,
    pub(super) ok: bool,
}

/// Prints all steps; whether every one came true.
pub(super) fn tell(
    rows: &[Row],
    run_id: &str,
    standing: &Standing,
    passes_away: bool,
    json: bool,
) -> Result<bool, Error> {
    let ok = !rows.is_empty() && rows.iter().all(|row| row.ok);
    let bundle = place(standing, run_id, "pef.zip")?;
    if json {
        let bundle = (!passes_away).then_some(bundle);
        println!("{}", json!({"ok": ok, "run_id": run_id, "bundle": bundle, "steps": rows}));
        return Ok(ok);
    }
    println!("{}", text(rows));
    println!();
    if passes_away {
        println!("The house was temporary and is gone; `clyra demo --data DIR` keeps it.");
    } else {
        println!("Check it yourself:");
        println!("  clyra-verify bundle {} --trust {}", bundle.display(), standing.trust.display());
    }
    let came_true = rows.iter().filter(|row| row.ok).count();
    println!("{came_true} of {} steps came true", rows.len());
    Ok(ok)
}

fn text(rows: &[Row]) -> String {
    let head = ["step", "sent", "expected", "got", "ok"].map(str::to_owned);
    let cells = rows.iter().map(|row| {
        let ok = if row.ok { "yes" } else { "NO" };
        [row.step, &row.sent, &row.expected, &row.got, ok].map(short)
    });
    let lines: Vec<[String; 5]> = std::iter::once(head).chain(cells).collect();
    let mut widths = [0; 5];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |line: &[String; 5]| -> String {
        let cells: Vec<String> =
            line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A cell that fits; the whole of it stands in the JSON.
fn short(cell: &str) -> String {
    if cell.chars().count() <= CELL_CHARS_MAX {
        return cell.to_owned();
    }
    let kept: String = cell.chars().take(CELL_CHARS_MAX - 1).collect();
    format!("{kept}…")
}

const CELL_CHARS_MAX: usize = 58;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_their_heads() {
        let row =
            |step, got: &str, ok| Row { step, sent: "s".into(), expected: "e".into(), got: got.into(), ok };
        let text = text(&[row("one", "g", true), row("second", &"x".repeat(90), false)]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0].find("sent"), lines[1].find('s').map(|_| lines[2].find("  s").unwrap() + 2));
        assert!(lines[1].ends_with("yes") && lines[2].ends_with("…  NO"), "{text}");
    }
}
