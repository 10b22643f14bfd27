//! The cost of each variant as a chart: bars of the ratio to `bare`, a line from the lower to the
//! upper quartile on each.

use std::fmt::Write;

use crate::results::{LoadResult, Results, VariantResult};

const WIDTH: f64 = 900.0;
/// Where the bars begin, and how much room is right of the longest.
const LEFT: f64 = 170.0;
const RIGHT: f64 = 150.0;
const ROW: f64 = 20.0;
const HEADING: f64 = 34.0;

/// The chart as SVG.
pub(crate) fn svg(results: &Results) -> String {
    let ratios = results.loads.iter().flat_map(|load| &load.variants);
    let longest = ratios.map(|variant| variant.to_bare.upper_quartile);
    let longest = longest.fold(1.0, f64::max);
    let scale = (WIDTH - LEFT - RIGHT) / longest;
    let mut rows = String::new();
    let mut y = HEADING;
    for load in &results.loads {
        y = group(&mut rows, load, y, scale);
    }
    let machine = &results.machine;
    let foot = format!(
        "{}, Linux {}, Envoy {}, {}",
        machine.processor, machine.kernel, machine.envoy, machine.commit
    );
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"20\" font-size=\"15\">CPU time of the proxy for a request ÷ bare Envoy \
         (median and quartiles)</text>\n\
         {rows}<text x=\"10\" y=\"{foot_y}\" fill=\"#777\">{foot}</text>\n</svg>\n",
        height = y + 30.0,
        foot_y = y + 18.0,
        foot = escaped(&foot),
    )
}

/// The bars of one load; gives where the next begins.
fn group(rows: &mut String, load: &LoadResult, top: f64, scale: f64) -> f64 {
    let title = format!("{}, {:?} upstream", load.title, load.upstream);
    // Writing to a string cannot fail.
    let _ = writeln!(
        rows,
        "<text x=\"10\" y=\"{:.1}\" font-weight=\"bold\">{}</text>",
        top + 18.0,
        escaped(&title)
    );
    let first = top + HEADING - 8.0;
    for (index, variant) in load.variants.iter().enumerate() {
        bar(rows, variant, first + index as f64 * ROW, scale);
    }
    let end = first + load.variants.len() as f64 * ROW;
    let one = LEFT + scale;
    let _ = writeln!(
        rows,
        "<line x1=\"{one:.1}\" x2=\"{one:.1}\" y1=\"{first:.1}\" y2=\"{end:.1}\" stroke=\"#000\" \
         stroke-dasharray=\"2 2\"/>"
    );
    end + 6.0
}

fn bar(rows: &mut String, variant: &VariantResult, top: f64, scale: f64) {
    let ratio = &variant.to_bare;
    let (from, to) = (
        LEFT + ratio.lower_quartile * scale,
        LEFT + ratio.upper_quartile * scale,
    );
    let middle = top + ROW / 2.0 - 1.0;
    let text = top + ROW - 6.0;
    let _ = writeln!(
        rows,
        "<text x=\"{:.1}\" y=\"{text:.1}\" text-anchor=\"end\">{}</text>\n\
         <rect x=\"{LEFT}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{}\"/>\n\
         <line x1=\"{from:.1}\" x2=\"{to:.1}\" y1=\"{middle:.1}\" y2=\"{middle:.1}\" \
         stroke=\"#000\" stroke-width=\"2\"/>\n\
         <text x=\"{:.1}\" y=\"{text:.1}\">{:.2} · {:.0} µs</text>",
        LEFT - 6.0,
        escaped(&variant.name),
        top + 2.0,
        ratio.median * scale,
        ROW - 6.0,
        colour(&variant.name),
        to + 6.0,
        ratio.median,
        variant.cpu_us.median,
    );
}

/// Ours, Envoy's own, the floor, and the rest.
fn colour(name: &str) -> &'static str {
    match name.split('-').next() {
        Some("launcher" | "istio") => "#2b7bba",
        Some("injector") => "#e08214",
        Some("floor") => "#9e9ac8",
        _ => "#bbbbbb",
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
