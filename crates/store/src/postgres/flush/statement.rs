//! Many orders as one statement of the database, each a part of its WITH.

use super::super::session::{Ask, Value};

/// What is written to one table.
pub(in super::super) struct Order<'a> {
    sql: &'static str,
    values: Vec<Box<dyn Value + 'a>>,
    /// So many rows must be written, or somebody was faster.
    rows: Option<i64>,
    /// It writes rows that another order may write as well.
    apart: bool,
}

impl<'a> Order<'a> {
    pub(super) fn new(sql: &'static str, values: Vec<Box<dyn Value + 'a>>) -> Order<'a> {
        Order {
            sql,
            values,
            rows: None,
            apart: false,
        }
    }

    pub(super) fn exactly(self, rows: usize) -> Order<'a> {
        Order {
            rows: i64::try_from(rows).ok(),
            ..self
        }
    }

    pub(super) fn apart(self) -> Order<'a> {
        Order {
            apart: true,
            ..self
        }
    }
}

/// Orders as the database is told of them, each with the text of its statement.
pub(in super::super) fn statements<'o>(orders: &'o [Order<'_>]) -> Vec<Statement<'o>> {
    let mut statements: Vec<Statement<'o>> = Vec::new();
    for order in orders {
        match statements.last_mut() {
            Some(last) if !order.apart && !last.apart => last.add(order),
            _ => {
                let mut next = Statement {
                    apart: order.apart,
                    ..Statement::default()
                };
                next.add(order);
                statements.push(next);
            }
        }
    }
    for statement in &mut statements {
        statement.close();
    }
    statements
}

/// Orders that go as one.
#[derive(Default)]
pub(in super::super) struct Statement<'o> {
    sql: String,
    parts: usize,
    /// What is said of the parts that must write so many rows.
    checks: Vec<String>,
    values: Vec<&'o dyn Value>,
    apart: bool,
}

impl<'o> Statement<'o> {
    pub fn ask(&'o self) -> Ask<'o> {
        Ask::With(&self.sql, self.values.clone())
    }

    fn add(&mut self, order: &'o Order<'_>) {
        let part = self.parts;
        self.parts += 1;
        self.sql.push_str(if part == 0 { "WITH " } else { ",\n" });
        self.sql.push_str(&format!("part{part} AS ("));
        renumbered(order.sql, self.values.len(), &mut self.sql);
        for value in &order.values {
            self.values.push(&**value);
        }
        if let Some(rows) = &order.rows {
            self.sql.push_str(" RETURNING 1");
            self.values.push(rows);
            self.checks.push(format!(
                "CASE WHEN (SELECT count(*) FROM part{part}) <> ${} THEN changed_meanwhile() END",
                self.values.len()
            ));
        }
        self.sql.push(')');
    }

    fn close(&mut self) {
        self.sql.push_str("\nSELECT ");
        self.sql.push_str(&self.checks.join(", "));
    }
}

/// The text with its values counted on from `after`.
fn renumbered(sql: &str, after: usize, into: &mut String) {
    let mut parts = sql.split('$');
    into.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let end = part
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(part.len());
        let number = part[..end].parse::<usize>().unwrap_or_default();
        into.push_str(&format!("${}", number + after));
        into.push_str(&part[end..]);
    }
}
