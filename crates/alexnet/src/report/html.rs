//! HTML building blocks and number formatting.

use base64::prelude::{BASE64_STANDARD, Engine as _};

/// Escapes text for HTML and quoted attributes. Control characters become spaces.
pub(crate) fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Text must never make a browser load something.
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
        out
    })
}

/// Embeds a file's content as a data URL.
pub(crate) fn data_uri(kind: &str, bytes: &[u8]) -> String {
    format!("data:{kind};base64,{}", BASE64_STANDARD.encode(bytes))
}

/// Formats a fraction as a percentage.
pub(crate) fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.2} %", share * 100.0) } else { NOT_FINITE.into() }
}

/// Formats a loss.
pub(crate) fn loss(value: f64) -> String {
    if value.is_finite() { format!("{value:.4}") } else { NOT_FINITE.into() }
}

/// Formats a learning rate.
pub(crate) fn rate(value: f64) -> String {
    if value.is_finite() { format!("{value:e}") } else { NOT_FINITE.into() }
}

const NOT_FINITE: &str = "not finite";

/// Formats a duration in seconds.
pub(crate) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "unknown".into();
    }
    let whole = seconds.round() as u64;
    match whole {
        0..10 => format!("{seconds:.1} s"),
        10..60 => format!("{whole} s"),
        60..3_600 => format!("{} min {:02} s", whole / 60, whole % 60),
        3_600..172_800 => format!("{} h {:02} min", whole / 3_600, whole / 60 % 60),
        _ => format!("{} days {} h", whole / 86_400, whole / 3_600 % 24),
    }
}

/// Formats milliseconds since 1970 as date and time; the page's script converts it to local time.
pub(crate) fn time(at: u64) -> String {
    let (days, seconds) = (at / 86_400_000, at / 1_000 % 86_400);
    // Days to a date by the Gregorian calendar's 400 years of 146,097 days, with years starting in March.
    let days = days.min(2_000_000) + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    format!(
        "<time data-at=\"{at}\">{}-{month:02}-{day:02} {:02}:{:02} UTC</time>",
        year + era * 400,
        seconds / 3_600,
        seconds / 60 % 60
    )
}

/// Formats a table of names and values.
pub(crate) fn pairs<'a>(rows: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let rows: String = rows
        .into_iter()
        .map(|(name, value)| format!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", escape(name), value))
        .collect();
    format!("<table class=\"pairs\">\n{rows}</table>\n")
}

/// Formats a self-contained page that makes no requests.
pub(crate) fn page(title: &str, body: &str, live: bool) -> String {
    let title = escape(title);
    let live = if live { " data-live" } else { "" };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"{live}>\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'; \
         script-src 'unsafe-inline'\">\n<link rel=\"icon\" href=\"data:,\">\n<style>\n{}</style>\n</head>\n<body>\n{body}\
         <div id=\"tip\" role=\"status\" hidden></div>\n<script>\n{}</script>\n</body>\n</html>\n",
        include_str!("page.css"),
        include_str!("page.js")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        assert_eq!(escape("<script>\"a\" & 'b'\u{0}\n"), "&lt;script&gt;&quot;a&quot; &amp; &#39;b&#39;  ");
        assert_eq!(data_uri("image/png", &[0, 255, 16]), "data:image/png;base64,AP8Q");
    }

    #[test]
    fn numbers_are_formatted() {
        assert_eq!((percent(0.98765).as_str(), percent(f64::NAN).as_str()), ("98.77 %", "not finite"));
        let durations = [0.25, 12.4, 61.0, 3_725.0, 200_000.0, f64::NAN].map(duration);
        assert_eq!(durations, ["0.2 s", "12 s", "1 min 01 s", "1 h 02 min", "2 days 7 h", "unknown"]);
    }

    #[test]
    fn days_convert_to_dates() {
        // From `date -u -d @N`.
        for (seconds, text) in [
            (0, "1970-01-01 00:00"),
            (951_782_400, "2000-02-29 00:00"),
            (1_764_096_951, "2025-11-25 18:55"),
            (4_107_542_399, "2100-02-28 23:59"),
        ] {
            assert!(time(seconds * 1000).contains(&format!(">{text} UTC<")), "{}", time(seconds * 1000));
        }
        assert!(time(u64::MAX).contains("UTC"));
    }
}
