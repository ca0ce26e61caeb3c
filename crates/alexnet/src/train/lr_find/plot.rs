//! A range test's curve as SVG.

use super::LrCurve;
use std::fmt::Write;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 400.0;
/// Plot area: left, top, right, bottom.
const PLOT: [f64; 4] = [56.0, 40.0, WIDTH - 16.0, HEIGHT - 44.0];

impl LrCurve {
    /// The losses over the rates, on a logarithmic axis, with the suggestions and the recipe's own rate.
    pub fn svg(&self) -> String {
        let [left, top, right, bottom] = PLOT;
        let visible: Vec<_> = self.points.iter().filter(|point| point.smoothed.is_finite()).collect();
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"Ubuntu,Helvetica,Arial,sans-serif\" font-size=\"12\">\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n\
             <text x=\"{left}\" y=\"22\" font-size=\"15\" fill=\"#1b2530\">Loss over the learning rate</text>\n"
        );
        let (Some(first), Some(last)) = (visible.first(), visible.last()) else { return svg + "</svg>\n" };
        let (low, high) = (first.lr.log10(), last.lr.log10().max(first.lr.log10() + 1e-9));
        let lowest = visible.iter().map(|point| point.smoothed).fold(f64::INFINITY, f64::min);
        // The explosion at the end must not flatten the rest.
        let most = visible.iter().map(|point| point.smoothed).fold(0.0, f64::max).min(2.0 * first.smoothed.max(lowest));
        let (floor, ceiling) = (lowest - 0.05 * (most - lowest), most + 0.05 * (most - lowest).max(1e-9));
        let across = |lr: f64| left + (lr.log10() - low) / (high - low) * (right - left);
        let down = |loss: f64| bottom - ((loss - floor) / (ceiling - floor)).clamp(0.0, 1.0) * (bottom - top);
        for i in 0..=4 {
            let loss = floor + (ceiling - floor) * f64::from(i) / 4.0;
            let (y, x) = (down(loss), left - 6.0);
            let _ = writeln!(svg, "<line x1=\"{left}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\" stroke=\"#e4eaf1\"/>");
            let _ = writeln!(svg, "<text x=\"{x}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#7a8794\">{loss:.2}</text>", y + 4.0);
        }
        for power in low.ceil() as i32..=high.floor() as i32 {
            let x = across(10f64.powi(power));
            let _ = writeln!(svg, "<line x1=\"{x:.1}\" y1=\"{top}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"#e4eaf1\"/>");
            let _ = writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#7a8794\">1e{power}</text>",
                bottom + 18.0
            );
        }
        for (of, colour, width) in [(0, "#c8d4e3", 1.0), (1, "#2f6fb3", 2.0)] {
            let points = visible.iter().map(|point| (point.lr, if of == 0 { point.loss } else { point.smoothed }));
            let points: Vec<String> = points.map(|(lr, loss)| format!("{:.1},{:.1}", across(lr), down(loss))).collect();
            let points = points.join(" ");
            let _ = writeln!(svg, "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"/>");
        }
        let marks = [
            (self.steepest(), "#2e8b57", "steepest"),
            (self.minimum().map(|lr| lr / 10.0), "#c0392b", "minimum / 10"),
            (Some(self.recipe_lr), "#7a8794", "recipe"),
        ];
        for (i, (lr, colour, name)) in marks.into_iter().enumerate() {
            let Some(lr) = lr.filter(|lr| (first.lr..=last.lr).contains(lr)) else { continue };
            let (x, y) = (across(lr), top + 14.0 + 16.0 * i as f64);
            let _ = writeln!(
                svg,
                "<line x1=\"{x:.1}\" y1=\"{top}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"{colour}\" stroke-dasharray=\"4 3\"/>"
            );
            let (anchor, at) = if x > (left + right) / 2.0 { ("end", x - 5.0) } else { ("start", x + 5.0) };
            let _ = writeln!(
                svg,
                "<text x=\"{at:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{name} {lr:.1e}</text>"
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{right}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#7a8794\">learning rate</text>",
            HEIGHT - 8.0
        );
        svg + "</svg>\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_curve_is_drawn() {
        let curve = |losses: &[f64]| {
            let mut curve = LrCurve::new(0.01, 10);
            losses.iter().enumerate().for_each(|(i, &loss)| _ = curve.push(10f64.powi(i as i32 - 8), loss));
            curve.svg()
        };
        for losses in
            [&[][..], &[1.0], &[0.0; 9], &[2.3, 2.2, 2.0, 1.5, 1.0, 2.0, 9.0, 1e30], &[1.0, f64::NAN, 2.0], &[f64::INFINITY]]
        {
            let svg = curve(losses);
            assert!(
                svg.starts_with("<svg") && svg.ends_with("</svg>\n") && !svg.contains("NaN") && !svg.contains("inf"),
                "{svg}"
            );
        }
        assert!(curve(&[2.3, 2.2, 2.0, 1.5, 1.0, 2.0, 9.0, 1e30]).matches("<polyline").count() == 2);
    }
}
