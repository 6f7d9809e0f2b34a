//! How a type of SQL is declared, once: `value_type!`.

/// Declares a type of SQL: its name, what a value is in words, how it becomes bytes, and the functions by which PostgreSQL makes
/// one: input, output, send and receive. `scripts/build.py` reads this where a line `\value_type` of the script names the type.
macro_rules! value_type {
    ($value:ident: $name:literal, $words:literal, $bytes:tt;
     $input:ident, $output:ident, $send:ident, $receive:ident) => {
        impl crate::pg::types::value::SqlType for $value {
            const NAME: &'static str = $name;

            crate::pg::types::value_type::value_type!(@bytes $value $bytes);
        }

        #[pgrx::pg_extern]
        fn $input(
            text: &std::ffi::CStr,
        ) -> Result<crate::pg::types::value::Value<$value>, crate::pg::error::Report> {
            crate::pg::types::value::parse(text)
        }

        #[pgrx::pg_extern]
        fn $output(
            value: crate::pg::types::value::Value<$value>,
        ) -> Result<std::ffi::CString, crate::pg::error::Report> {
            crate::pg::types::value::print(&value)
        }

        #[pgrx::pg_extern]
        fn $send(value: crate::pg::types::value::Bytes) -> Result<Vec<u8>, crate::pg::error::Report> {
            crate::pg::types::value::send(value)
        }

        #[pgrx::pg_extern]
        fn $receive(
            message: pgrx::Internal,
        ) -> Result<crate::pg::types::value::Value<$value>, crate::pg::error::Report> {
            crate::pg::types::value::receive(message)
        }
    };
    // By serde.
    (@bytes $value:ident postcard) => {
        fn check(&self) -> Result<(), String> {
            <$value>::check(self).map_err(|error| error.to_string())
        }
    };
    // Laid out by the type itself, which is the state of an aggregate.
    (@bytes $value:ident flat) => {
        fn check(&self) -> Result<(), String> {
            <$value>::check(self)
        }

        fn to_bytes(&self) -> Result<Vec<u8>, crate::pg::error::Report> {
            Ok(self.to_flat()?)
        }

        fn from_bytes(bytes: &[u8]) -> Result<Self, crate::pg::error::Report> {
            let none = || Self::invalid(format!("{} bytes that are not one", bytes.len()));
            Self::from_flat(bytes).ok_or_else(none)
        }
    };
    // By functions of these names.
    (@bytes $value:ident ($check:path, $to:path, $from:path)) => {
        fn check(&self) -> Result<(), String> {
            $check(self)
        }

        fn to_bytes(&self) -> Result<Vec<u8>, crate::pg::error::Report> {
            $to(self)
        }

        fn from_bytes(bytes: &[u8]) -> Result<Self, crate::pg::error::Report> {
            $from(bytes)
        }
    };
}
pub(crate) use value_type;
