//! Pages of lists: `per_page`, `page` and the Link header.

use axum::http::header::LINK;
use axum::http::{HeaderValue, Uri};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::{Answer, answer};

/// The value of a query parameter.
pub(super) fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let pairs = uri
        .query()?
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let (_, value) = pairs.into_iter().find(|(key, _)| *key == name)?;
    // A bare `+` is a space here: why clients must encode it.
    let value = value.replace('+', " ");
    Some(percent_decode_str(&value).decode_utf8_lossy().into_owned())
}

/// The `number`th page of `size` items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Page {
    number: usize,
    size: usize,
}

impl Page {
    fn of(uri: &Uri) -> Self {
        let given = |name| parameter(uri, name).and_then(|value| value.parse::<usize>().ok());
        Self {
            number: given("page").unwrap_or(1).max(1),
            size: given("per_page")
                .filter(|size| *size > 0)
                .unwrap_or(30)
                .min(100),
        }
    }

    /// The Link header for a list of `total` items, if it has other pages.
    fn links(self, base: &str, uri: &Uri, total: usize) -> Option<String> {
        let last = total.div_ceil(self.size).max(1);
        let mut links = Vec::new();
        let mut link = |rel: &str, number: usize| {
            let kept = uri.query().unwrap_or_default().split('&');
            let kept = kept.filter(|pair| !pair.is_empty() && !pair.starts_with("page="));
            let mut query: Vec<String> = kept.map(Into::into).collect();
            query.push(format!("page={number}"));
            links.push(format!(
                "<{base}{}?{}>; rel=\"{rel}\"",
                uri.path(),
                query.join("&")
            ));
        };
        if self.number > 1 {
            link("prev", self.number - 1);
        }
        if self.number < last {
            link("next", self.number + 1);
            link("last", last);
        }
        if self.number > 1 {
            link("first", 1);
        }
        (!links.is_empty()).then(|| links.join(", "))
    }
}

/// Of a list the page that is asked for; where none is all of it, or the last `most`.
pub(super) fn part(uri: &Uri, items: Vec<Value>, most: usize) -> Vec<Value> {
    if parameter(uri, "page")
        .or(parameter(uri, "per_page"))
        .is_none()
    {
        let skipped = items.len().saturating_sub(most);
        return items.into_iter().skip(skipped).collect();
    }
    let page = Page::of(uri);
    let skipped = (page.number - 1).saturating_mul(page.size);
    items.into_iter().skip(skipped).take(page.size).collect()
}

/// Answers the page that is asked for, as an array or, with a `key`, as an object
/// with `total_count`.
pub(super) fn paged(
    base: &str,
    uri: &Uri,
    key: Option<&str>,
    total: usize,
    items: impl Iterator<Item = Value>,
) -> Answer {
    let page = Page::of(uri);
    let skipped = (page.number - 1).saturating_mul(page.size);
    let items: Vec<Value> = items.skip(skipped).take(page.size).collect();
    let mut response = match key {
        None => answer(200, items.into())?,
        Some(key) => answer(200, json!({ "total_count": total, key: items }))?,
    };
    let links = page
        .links(base, uri, total)
        .and_then(|links| HeaderValue::try_from(links).ok());
    if let Some(links) = links {
        response.headers_mut().insert(LINK, links);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_linked() {
        let uri: Uri = "/x?per_page=2&page=2&event=a".parse().unwrap();
        let page = Page::of(&uri);
        assert_eq!(page, Page { number: 2, size: 2 });
        let links = page.links("http://h", &uri, 5).unwrap();
        assert_eq!(
            links,
            "<http://h/x?per_page=2&event=a&page=1>; rel=\"prev\", \
             <http://h/x?per_page=2&event=a&page=3>; rel=\"next\", \
             <http://h/x?per_page=2&event=a&page=3>; rel=\"last\", \
             <http://h/x?per_page=2&event=a&page=1>; rel=\"first\""
        );
        assert_eq!(Page { number: 1, size: 5 }.links("http://h", &uri, 5), None);
    }

    #[test]
    fn pages_have_at_most_a_hundred() {
        assert_eq!(Page::of(&"/x?per_page=1000".parse().unwrap()).size, 100);
        assert_eq!(
            Page::of(&"/x".parse().unwrap()),
            Page {
                number: 1,
                size: 30
            }
        );
    }

    #[test]
    fn parameters_are_decoded() {
        let uri: Uri = "/x?name=a%2Bb+c&label=".parse().unwrap();
        assert_eq!(parameter(&uri, "name").unwrap(), "a+b c");
        assert_eq!(parameter(&uri, "label").unwrap(), "");
        assert_eq!(parameter(&uri, "page"), None);
    }
}
