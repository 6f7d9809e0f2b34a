//! Makes a table that is there equal to the rows it is to have, where they differ.

use std::ffi::CStr;

use pgrx::spi::{SpiClient, quote_identifier};

use crate::pg::error::Report;
use crate::pg::rows::rowset::{RowWriter, Rowset};
use crate::pg::sys::query::spi_failed;

use super::key_type::equality;
use super::table::{Stamp, Written};

/// What differs: the columns of the table, and in which of the two a row is.
const DIFFERENCES: &CStr = c"persona_differences";

pub(super) struct Change<'a> {
    table: &'a str,
    stamp: &'a Stamp,
    /// Quoted, as are the values.
    keys: Vec<String>,
    values: Vec<String>,
    /// By what each key is equal.
    equalities: Vec<String>,
    /// Names that no column has: of whether a row is there, whether it was and whether it is to be.
    is_here: String,
    is_old: String,
    is_new: String,
}

impl<'a> Change<'a> {
    pub(super) fn of(
        table: &'a str,
        columns: &[&str],
        keys: &[&str],
        stamp: &'a Stamp,
    ) -> Result<Self, Report> {
        let free = |name: &str| {
            let mut name = name.to_owned();
            while columns.contains(&name.as_str()) {
                name.push('_');
            }
            name
        };
        let quoted = |name: &&str| quote_identifier(*name);
        Ok(Self {
            table,
            stamp,
            keys: keys.iter().map(quoted).collect(),
            values: columns.iter().filter(|name| !keys.contains(name)).map(quoted).collect(),
            equalities: keys
                .iter()
                .map(|key| equality(key, [table, table]))
                .collect::<Result<_, Report>>()?,
            is_here: free("is_here"),
            is_old: free("is_old"),
            is_new: free("is_new"),
        })
    }

    /// The rows that the table is to have are those of a query.
    pub(super) fn to_query(&self, client: &mut SpiClient, rows: &str) -> Result<Written, Report> {
        let Self { table, is_here, is_old, is_new, .. } = self;
        let [old, new] =
            ["t", "s"].map(|of| joined(self.values.iter().map(|name| format!("{of}.{name}"))));
        let either =
            joined(self.keys.iter().map(|key| format!("coalesce(s.{key}, t.{key}) AS {key}")));
        let (all, same_key) = (self.all(), self.same_key("s"));
        // As a comparison with a number, of which the planner takes few rows to be true: the join pays in parallel then.
        let query = format!(
            "SELECT {either}, {new}, t.{is_here} AS {is_old}, s.{is_here} AS {is_new} FROM (SELECT true AS {is_here}, q.* FROM ({rows}) AS q) AS s \
             FULL JOIN (SELECT true AS {is_here}, {all} FROM {table} AS q) AS t ON {same_key} \
             WHERE (s.{is_here} IS NULL OR t.{is_here} IS NULL OR ROW({old}) IS DISTINCT FROM ROW({new}))::pg_catalog.int4 = 1"
        );
        self.make(client, Rowset::of_query(client, &query)?)
    }

    /// What differs is known. `write` writes its keys, its values, and whether it was and is to be.
    pub(super) fn of_differences(
        &self,
        client: &mut SpiClient,
        n_differences: usize,
        mut write: impl FnMut(usize, &mut RowWriter),
    ) -> Result<Written, Report> {
        let Self { table, is_old, is_new, .. } = self;
        let all = self.all();
        let columns = format!("SELECT {all}, true AS {is_old}, true AS {is_new} FROM {table}");
        let mut differences = Rowset::of_columns(client, &columns)?;
        for difference in 0..n_differences {
            differences.push(|row| write(difference, row))?;
        }
        self.make(client, differences)
    }

    fn make(&self, client: &mut SpiClient, differences: Rowset) -> Result<Written, Report> {
        if differences.register(client, DIFFERENCES)? == 0 {
            return Ok(Written::default());
        }
        let Self { table, is_old, is_new, stamp: Stamp { now, version }, .. } = self;
        let (all, its_key) = (self.all(), self.same_key("d"));
        let set = joined(self.values.iter().map(|name| format!("{name} = d.{name}")));
        let mut changed = |statement: String| {
            client.update(&statement, None, &[]).map(|rows| rows.len() as i64).map_err(spi_failed)
        };
        Ok(Written {
            deleted: changed(format!(
                "DELETE FROM {table} t USING persona_differences d WHERE d.{is_new} IS NULL AND {its_key}"
            ))?,
            updated: changed(format!(
                "UPDATE {table} t SET {set}, since = {now}, version = {version} FROM persona_differences d \
                 WHERE d.{is_new} AND d.{is_old} AND {its_key}"
            ))?,
            inserted: changed(format!(
                "INSERT INTO {table} ({all}, since, version) \
                 SELECT {all}, {now}, {version} FROM persona_differences WHERE {is_old} IS NULL"
            ))?,
            n_rows: 0,
        })
    }

    fn all(&self) -> String {
        joined(self.keys.iter().chain(&self.values).cloned())
    }

    fn same_key(&self, other: &str) -> String {
        let keys = self.keys.iter().zip(&self.equalities);
        let equal = keys.map(|(key, equals)| format!("t.{key} {equals} {other}.{key}"));
        equal.collect::<Vec<_>>().join(" AND ")
    }
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}
