//! The file name that a Content-Disposition gives
//! ([RFC 6266](https://www.rfc-editor.org/rfc/rfc6266), and of what is encoded
//! [RFC 8187](https://www.rfc-editor.org/rfc/rfc8187)).

use percent_encoding::percent_decode_str;

/// The name, as it is meant and not yet as it may be used: `filename*` before `filename`.
pub(crate) fn file_name(header: &[u8]) -> Option<String> {
    // Some servers put UTF-8 into `filename` as it is.
    let header = String::from_utf8_lossy(header);
    let parameters = parameters(&header);
    let of = |name: &str| {
        let mut all = parameters.iter();
        let (_, value) = all.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(value.clone())
    };
    let name = of("filename*").and_then(|value| decoded(&value));
    name.or_else(|| of("filename"))
        .filter(|name| !name.is_empty())
}

/// What stands behind the disposition's type, quotes taken away.
fn parameters(header: &str) -> Vec<(String, String)> {
    let mut rest = header.chars().peekable();
    let mut parameters = Vec::new();
    while rest.any(|c| c == ';') {
        let mut name = String::new();
        while let Some(c) = rest.next_if(|c| !matches!(c, '=' | ';')) {
            name.push(c);
        }
        if rest.next_if_eq(&'=').is_none() {
            continue;
        }
        while rest.next_if(|c| c.is_whitespace()).is_some() {}
        let mut value = String::new();
        if rest.next_if_eq(&'"').is_some() {
            while let Some(c) = rest.next().filter(|c| *c != '"') {
                value.extend(if c == '\\' { rest.next() } else { Some(c) });
            }
        } else {
            while let Some(c) = rest.next_if(|c| *c != ';') {
                value.push(c);
            }
            value.truncate(value.trim_end().len());
        }
        parameters.push((name.trim().to_owned(), value));
    }
    parameters
}

/// `<charset>'<language>'<percent-encoded>`; the two charsets that there are.
fn decoded(value: &str) -> Option<String> {
    let mut parts = value.splitn(3, '\'');
    let (charset, _, encoded) = (parts.next()?, parts.next()?, parts.next()?);
    let bytes = percent_decode_str(encoded);
    match charset.to_ascii_lowercase().as_str() {
        "utf-8" => bytes.decode_utf8().ok().map(Into::into),
        "iso-8859-1" => Some(bytes.map(char::from).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_read_however_it_is_written() {
        for (header, name) in [
            ("attachment; filename=\"a b.zip\"; x=1", Some("a b.zip")),
            ("attachment;filename=plain.txt", Some("plain.txt")),
            ("attachment; FileName = plain.txt ; x=1", Some("plain.txt")),
            (
                "attachment; filename=\"a;b\\\"c\\\\.txt\"",
                Some("a;b\"c\\.txt"),
            ),
            ("attachment; x=\"filename=no\"; filename=yes", Some("yes")),
            (
                "attachment; filename=\"r?sum?\"; filename*=UTF-8''r%C3%A9sum%C3%A9",
                Some("résumé"),
            ),
            (
                "attachment; filename*=utf-8'fr'%E2%82%AC; filename=E",
                Some("€"),
            ),
            ("attachment; filename*=ISO-8859-1''%A3", Some("£")),
            (
                "attachment; filename*=UTF-8''%FF; filename=fits",
                Some("fits"),
            ),
            (
                "attachment; filename*=KOI8-R''%C1; filename=fits",
                Some("fits"),
            ),
            ("attachment; filename*=nothing", None),
            ("attachment; filename=\"résumé\"", Some("résumé")),
            ("attachment; filename*=UTF-8''..%2Fx", Some("../x")),
            ("attachment; filename=\"\"", None),
            ("attachment; filename=\"no end", Some("no end")),
            ("attachment; filename", None),
            ("attachment", None),
            ("", None),
        ] {
            assert_eq!(file_name(header.as_bytes()).as_deref(), name, "{header}");
        }
    }
}
