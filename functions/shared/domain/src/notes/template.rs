//! The template: Jinja, as minijinja has it. What it names and there is not is a fault,
//! and it cannot go on for ever.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};

use super::{Facts, LONGEST_BODY, escape, fit};

/// The one that is used where people have none.
const BUILT_IN: &str = include_str!("default.md");
/// What rendering may cost, in minijinja's own unit, about one per instruction: the
/// largest release needs a tenth of it.
const FUEL: u64 = 30_000_000;

/// A template that people have written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Its path, for what is told of it.
    pub path: String,
    /// Jinja.
    pub text: String,
}

/// What is wrong with a template; one sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the template of the notes, {path}{}: {why}", line.map(|n| format!(", line {n}")).unwrap_or_default())]
pub struct Fault {
    /// Its path.
    pub path: String,
    /// Where, counted from 1.
    pub line: Option<usize>,
    /// What.
    pub why: String,
}

impl Template {
    /// From a file's bytes.
    pub fn read(path: &str, bytes: Vec<u8>) -> Result<Self, Fault> {
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self {
                path: path.to_owned(),
                text,
            }),
            Err(error) => Err(Fault {
                path: path.to_owned(),
                line: None,
                why: error.utf8_error().to_string(),
            }),
        }
    }

    /// Renders it with facts that have everything, and with some that have nothing.
    pub fn check(&self) -> Result<(), Fault> {
        let engine = Engine::new(Some(self))?;
        engine.render(&super::sample())?;
        engine.render(&super::bare()).map(drop)
    }
}

/// What the release says of itself, in Markdown, at most [`LONGEST_BODY`] characters:
/// where that is not enough, first changes are left out, then files, then components.
pub fn render(template: Option<&Template>, facts: &Facts) -> Result<String, Fault> {
    fit::fit(&Engine::new(template)?, facts, LONGEST_BODY)
}

/// A template that is ready to be rendered.
pub(super) struct Engine<'a> {
    environment: Environment<'a>,
    path: &'a str,
}

impl<'a> Engine<'a> {
    pub(super) fn new(template: Option<&'a Template>) -> Result<Self, Fault> {
        let (path, text) = template.map_or(("built in", BUILT_IN), |t| (&t.path, &t.text));
        let mut environment = Environment::new();
        let mut syntax = SyntaxConfig::builder();
        syntax.trim_blocks(true).lstrip_blocks(true);
        let syntax = syntax.build().map_err(|error| fault(path, &error))?;
        environment.set_syntax(syntax);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_fuel(Some(FUEL));
        environment.add_filter("text", |plain: &str| escape::text(plain));
        let added = environment.add_template("notes", text);
        added.map_err(|error| fault(path, &error))?;
        Ok(Self { environment, path })
    }

    pub(super) fn render(&self, facts: &Facts) -> Result<String, Fault> {
        let template = self.environment.get_template("notes");
        let rendered = template.and_then(|template| template.render(Serde(facts)));
        rendered.map_err(|error| fault(self.path, &error))
    }
}

/// The error in the line where it is, which is that of what it was caused by.
fn fault(path: &str, error: &minijinja::Error) -> Fault {
    let why = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    Fault {
        path: path.to_owned(),
        line: error.line(),
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> Template {
        Template {
            path: ".github/release-notes.md".into(),
            text: text.into(),
        }
    }

    #[test]
    fn a_template_of_others_is_rendered() {
        let plain = template(
            "# {{ version }}\n{% for c in components %}\n- {{ c.name | text }}\n{% endfor %}\n",
        );
        let text = render(Some(&plain), &super::super::sample()).unwrap();
        assert!(text.starts_with("# v1.2.3\n- core\n"), "{text}");
        plain.check().unwrap();
    }

    #[test]
    fn a_fault_names_file_line_and_what_is_wrong() {
        for (text, want) in [
            ("a\n{{ versoin }}", ", line 2: undefined value"),
            (
                "{{ version | nope }}",
                ", line 1: unknown filter: filter nope is unknown",
            ),
            (
                "a\nb\n{% for c in components %}",
                ", line 3: syntax error: ",
            ),
            (
                "{% for c in components %}\n{{ c.naem }}\n{% endfor %}",
                ", line 2: undefined value",
            ),
            ("{{ changes.since.url }}", ", line 1: undefined value"),
            ("{{ components | text }}", ", line 1: invalid operation"),
            (
                "{% for a in range(99999) %}{% for b in range(99999) %}{{ b }}{% endfor %}{% endfor %}",
                ", line 1: engine ran out of fuel",
            ),
        ] {
            let fault = template(text).check().unwrap_err().to_string();
            let want = format!("the template of the notes, .github/release-notes.md{want}");
            assert!(fault.starts_with(&want), "{text:?}: {fault}");
            assert!(!fault.contains('\n'), "{fault}");
        }
        let fault = Template::read("t.md", vec![0xff]).unwrap_err().to_string();
        assert!(
            fault.starts_with("the template of the notes, t.md: invalid utf-8"),
            "{fault}"
        );
    }
}
