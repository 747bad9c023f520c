//! What is wrong with a request: every broken rule, each with its field, collected rather than thrown.

use serde::Serialize;

/// One broken rule. `field` is a JSON pointer-like dotted path (`contacts[1].customer_number`);
/// `code` never changes; `detail` is a sentence for people and never repeats personal data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldProblem {
    pub field: String,
    pub code: &'static str,
    pub detail: String,
}

/// All broken rules of one request. Empty means the request is good.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Problems(pub Vec<FieldProblem>);

impl Problems {
    /// A request can break only so many rules before listing more stops helping anyone.
    const MAX: usize = 64;

    pub fn add(&mut self, field: impl Into<String>, code: &'static str, detail: impl Into<String>) {
        if self.0.len() < Self::MAX {
            self.0.push(FieldProblem {
                field: field.into(),
                code,
                detail: detail.into(),
            });
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn one(field: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        let mut problems = Problems::default();
        problems.add(field, code, detail);
        problems
    }

    /// `Ok` if nothing was found.
    pub fn into_result(self) -> Result<(), Problems> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl std::fmt::Display for Problems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, p) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{}: {}", p.field, p.detail)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
