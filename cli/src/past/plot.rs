//! The report as one page that needs nothing beside itself: for each rule, its would-be refusals over time. It runs no
//! script and asks nobody for anything.

use super::{
    Extent,
    report::{Advice, RuleReport},
};

/// The page.
pub(super) fn page(rules: &[RuleReport], extent: &Extent, criterion: &str) -> String {
    let hours = || rules.iter().flat_map(|rule| rule.hours.keys().copied());
    let window = (hours().min().unwrap_or(0), hours().max().unwrap_or(0));
    let mut body = String::new();
    for rule in rules {
        body.push_str(&row(rule, window));
    }
    let (read, criterion) = (escaped(&extent.in_words()).replace('\n', "<br>"), escaped(criterion));
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Rules in shadow mode</title>\n\
         <style>{STYLE}</style>\n<h1>Rules in shadow mode</h1>\n<p>{read}<br>{criterion}</p>\n\
         <table><tr><th>rule<th>advice<th>would-be refusals<th>over time<th>callers<th>shapes<th>near a bound<th>most often\n\
         {body}</table>\n"
    )
}

fn row(rule: &RuleReport, window: (u64, u64)) -> String {
    let class = match rule.advice {
        Advice::LookFirst => "look",
        Advice::TooEarly => "early",
        Advice::Ready => "ready",
        Advice::Enforced => "done",
    };
    let top: Vec<String> = rule
        .top
        .iter()
        .take(3)
        .map(|one| {
            let tables: Vec<&str> = one.tables.iter().map(String::as_str).collect();
            escaped(&format!("{} x {} {}", one.count, one.verb, tables.join(", ")))
        })
        .collect();
    format!(
        "<tr class=\"{class}\"><td>{}<td>{}<td class=\"n\">{}<td>{}<td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{}<td>{}\n",
        escaped(&rule.id),
        rule.advice.in_words(),
        rule.would_be,
        bars(rule, window),
        rule.callers,
        rule.shapes,
        rule.near,
        top.join("<br>"),
    )
}

/// Bars of equal spans of time, the highest as high as the picture.
fn bars(rule: &RuleReport, (from, until): (u64, u64)) -> String {
    if rule.hours.is_empty() {
        return String::new();
    }
    let hours_each = (until - from + 1).div_ceil(BARS).max(1);
    let mut heights = std::collections::BTreeMap::<u64, u64>::new();
    for (hour, number) in &rule.hours {
        *heights.entry((hour - from) / hours_each).or_default() += number;
    }
    let most = heights.values().copied().max().unwrap_or(1).max(1);
    let mut svg = format!(
        "<svg width=\"{}\" height=\"{HEIGHT}\" role=\"img\"><title>at most {most} in {hours_each} h</title>",
        BARS * WIDTH
    );
    for (place, number) in heights {
        let height = (number * HEIGHT).div_ceil(most).min(HEIGHT);
        svg.push_str(&format!(
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{height}\"/>",
            place * WIDTH,
            HEIGHT - height,
            WIDTH - 1
        ));
    }
    svg.push_str("</svg>");
    svg
}

/// Text that no browser takes for markup.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const STYLE: &str = "body{font:14px/1.4 sans-serif;margin:2em;color:#222}table{border-collapse:collapse}\
    th,td{padding:.3em .8em;border-bottom:1px solid #ddd;text-align:left;vertical-align:top}.n{text-align:right}\
    svg{background:#f4f4f4}rect{fill:#567}.look td:nth-child(2){color:#a00}.look rect{fill:#a33}\
    .ready td:nth-child(2){color:#060}.early td:nth-child(2),.done td:nth-child(2){color:#777}";
const BARS: u64 = 60;
const WIDTH: u64 = 4;
const HEIGHT: u64 = 32;
