//! The plot: throughput over direct, a panel for each script and protocol, drawn as plain SVG. It never needs a font
//! file or a browser to be made, and leaves TLS, pools, churn and COPY to the table.

use crate::cell::{CLIENTS, Cell, Door, Script, Spoken, Way};
use crate::pg::Measures;
use crate::report::weigh;
use std::fmt::Write as _;

const PANEL: (f64, f64) = (260.0, 170.0);
const GAP: (f64, f64) = (50.0, 70.0);
const TOP: f64 = 90.0;
const BAR: f64 = 24.0;

/// Draws a run.
pub(crate) fn svg(measures: &Measures, ways: &[Way]) -> String {
    let proxies: Vec<Way> = ways.iter().copied().filter(|way| *way != Way::Direct).collect();
    let width = 3.0 * (PANEL.0 + GAP.0) + 20.0;
    let height = TOP + 2.0 * (PANEL.1 + GAP.1);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"50\" y=\"24\" font-size=\"16\">pgbench throughput, direct = 1.0 (higher is better)</text>\n"
    );
    let mut x = 50.0;
    for way in &proxies {
        writeln!(
            svg,
            "<rect x=\"{x}\" y=\"36\" width=\"12\" height=\"12\" fill=\"{}\"/><text x=\"{}\" y=\"47\">{}</text>",
            colour(*way), x + 17.0, way.as_str(),
        ).ok();
        x += 110.0;
    }
    let mut y = TOP;
    for script in [Script::Select, Script::TpcB] {
        let mut x = 50.0;
        for spoken in Spoken::ALL {
            panel(&mut svg, measures, &proxies, (script, spoken), (x, y));
            x += PANEL.0 + GAP.0;
        }
        y += PANEL.1 + GAP.1;
    }
    svg.push_str("</svg>\n");
    svg
}

fn panel(svg: &mut String, measures: &Measures, proxies: &[Way], what: (Script, Spoken), at: (f64, f64)) {
    let (script, spoken) = what;
    let (left, top) = at;
    writeln!(
        svg,
        "<text x=\"{left}\" y=\"{}\" font-weight=\"bold\">{}, {}</text>",
        top - 22.0,
        script.as_str(),
        spoken.as_str()
    )
    .ok();
    for step in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let y = top + PANEL.1 * (1.0 - step);
        writeln!(
            svg,
            "<line x1=\"{left}\" x2=\"{}\" y1=\"{y}\" y2=\"{y}\" stroke=\"#ddd\"/>\
             <text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"#666\">{step}</text>",
            left + PANEL.0,
            left - 5.0,
            y + 4.0,
        )
        .ok();
    }
    let mut x = left + 8.0;
    for clients in CLIENTS {
        let group = x;
        for way in proxies {
            let cell = Cell { door: Door::Plain, script, spoken, clients };
            if let Some(weighed) = weigh(measures, cell, *way) {
                // Noise can lift a bar over direct; the panel ends a little above.
                let tall = PANEL.1 * weighed.ratio.clamp(0.0, 1.05);
                writeln!(
                    svg,
                    "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{}\" height=\"{tall:.1}\" fill=\"{}\"><title>{}: {:.0} tps, {:.2}</title></rect>\
                     <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"9\" text-anchor=\"middle\">{:.2}</text>",
                    top + PANEL.1 - tall, BAR - 2.0, colour(*way), way.as_str(), weighed.tps, weighed.ratio,
                    x + BAR / 2.0 - 1.0, top + PANEL.1 - tall - 3.0, weighed.ratio,
                ).ok();
            }
            x += BAR;
        }
        let plural = if clients == 1 { "client" } else { "clients" };
        writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{clients} {plural}</text>",
            f64::midpoint(group, x),
            top + PANEL.1 + 16.0,
        )
        .ok();
        x += 14.0;
    }
}

fn colour(way: Way) -> &'static str {
    match way {
        Way::Direct => "#444444",
        Way::Forwarder => "#b8b8b8",
        Way::Pgbouncer => "#4c78a8",
        Way::Clyra => "#e45756",
    }
}

#[cfg(test)]
mod tests {
    use super::svg;
    use crate::cell::{Cell, Way};
    use crate::load::Measure;
    use crate::pg::Measures;

    #[test]
    fn a_bar_for_each_way_and_nothing_else() {
        let cell = *Cell::all().first().unwrap();
        let round = |tps| vec![Measure { tps, latency_ms: 1.0, statements: 1, cpu_us: None }];
        let measures =
            Measures::from([((cell, Way::Direct), round(100.0)), ((cell, Way::Clyra), round(80.0))]);
        let drawn = svg(&measures, &[Way::Direct, Way::Clyra]);
        assert_eq!(drawn.matches("<title>").count(), 1);
        assert!(drawn.contains("<title>clyra: 80 tps, 0.80</title>"));
        assert!(drawn.starts_with("<svg ") && drawn.ends_with("</svg>\n"));
    }
}
