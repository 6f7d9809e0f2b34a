//! `target_encoder`: an aggregate whose state is its result; categories encoded by it, in and out of fold.
#![allow(unsafe_code, reason = "functions that PostgreSQL calls once a row")]

use pgrx::pg_sys::panic::ErrorReportable;
use pgrx::pg_sys::{Datum, FunctionCallInfo};
use pgrx::prelude::*;
use pgrx::{AnyElement, FromDatum};

use crate::algo::clean;
use crate::algo::encode::target::{
    self, Encodings, HEAD, MAX_FOLDS, Moments, Options, Smoothing, TargetEncoder,
};
use crate::algo::flat_map::{FlatMap, frozen};
use crate::pg::error::{Error, Report, report};
use crate::pg::rows::flat::{BytesOut, State};
use crate::pg::sys::call_site::CallSite;
use crate::pg::sys::raw::{self, argument, bytes_of};
use crate::pg::types::any_text::AnyText;
use crate::pg::types::datum::Kind;
use crate::pg::types::options::Json;
use crate::pg::types::value::{Bytes, Kept, SqlType, Stored};
use crate::pg::types::value_type::value_type;

raw::declare! {
    target_encoder_add, pg_finfo_target_encoder_add;
    target_encoder_combine, pg_finfo_target_encoder_combine;
}

/// Folds when there is a key and no option.
const FOLDS: usize = 5;

value_type!(TargetEncoder: "target_encoder", "a target encoder", flat; target_encoder_in, target_encoder_out, target_encoder_send, target_encoder_recv);

/// How a call site reads its arguments.
struct Site {
    category: AnyText,
    /// None without a key.
    key: Option<AnyText>,
    options: Option<Read>,
}

/// What a call site read of the options, and their bytes.
struct Read {
    bytes: Vec<u8>,
    options: Options,
}

impl Site {
    /// # Safety
    /// `fcinfo` is of the running call of `target_encoder_add`.
    unsafe fn of(fcinfo: FunctionCallInfo) -> Result<Self, Report> {
        // SAFETY: by the caller's promise; the key is its fourth argument.
        unsafe {
            let has_key = (*fcinfo).nargs > 3;
            Ok(Self {
                category: AnyText::of(fcinfo, 1, "category")?,
                key: has_key.then(|| AnyText::of(fcinfo, 3, "key")).transpose()?,
                options: None,
            })
        }
    }
}

/// Adds a row: (target_encoder, category "any", target float8 [, key "any" [, options jsonb]]). A NULL target is skipped, and so is a
/// NULL category.
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn target_encoder_add(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: SQL declares these arguments.
    unsafe {
        let (Some(category), Some(target)) = (argument(fcinfo, 1), argument(fcinfo, 2)) else {
            return argument(fcinfo, 0).unwrap_or_else(|| raw::null(fcinfo));
        };
        let target = Kind::Float8.number(target);
        if !target.is_finite() {
            Err(Report::from(Error::NotFiniteArgument { argument: "target".into(), value: target }))
                .unwrap_or_report()
        }
        let site: &mut Site = CallSite::of(fcinfo).remember(|| Site::of(fcinfo)).unwrap_or_report();
        let options = options(fcinfo, &mut site.options).unwrap_or_report();
        let fold = match site.key {
            None => 0,
            Some(text) => match argument(fcinfo, 3) {
                None => {
                    Err(Report::from(Error::NullArgument { argument: "key" })).unwrap_or_report()
                }
                Some(key) => text
                    .text(key, "key", |key| fold_of(key, options.folds, options.seed))
                    .unwrap_or_report(),
            },
        };
        let mut state = State::of(fcinfo, || target::empty(&options));
        check_options(state.bytes(), &options).unwrap_or_report();
        site.category
            .text(category, "category", |category| {
                state.update(category.as_bytes(), |words| {
                    target::add(words, fold, &Moments::one(target));
                })
            })
            .unwrap_or_report()
            .unwrap_or_report();
        state.into()
    }
}

/// The state of two states; a plain function too, by which `rollup` merges stored ones.
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn target_encoder_combine(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: SQL declares (target_encoder, target_encoder).
    unsafe {
        let Some(other) = argument(fcinfo, 1) else {
            return argument(fcinfo, 0).unwrap_or_else(|| raw::null(fcinfo));
        };
        let other = map(bytes_of(other)).unwrap_or_report();
        let options = Options::of(&other);
        let mut state = State::of(fcinfo, || target::empty(&options));
        check_options(state.bytes(), &options).unwrap_or_report();
        for (category, folds) in target::categories(other) {
            state
                .update(category, |words| {
                    for (fold, moments) in folds.iter().enumerate() {
                        target::add(words, fold, moments);
                    }
                })
                .unwrap_or_report();
        }
        state.into()
    }
}

/// The options of the call, read once for the same bytes.
///
/// # Safety
/// `fcinfo` is of the running call of `target_encoder_add`.
unsafe fn options(fcinfo: FunctionCallInfo, read: &mut Option<Read>) -> Result<Options, Report> {
    // SAFETY: by the caller's promise.
    unsafe {
        let folds = if (*fcinfo).nargs > 3 { FOLDS } else { 1 };
        let defaults = Options { smoothing: Smoothing::AUTO, folds, seed: 0 };
        if (*fcinfo).nargs <= 4 {
            return Ok(defaults);
        }
        let Some(given) = argument(fcinfo, 4) else { return Ok(defaults) };
        let bytes = bytes_of(given);
        if let Some(read) = read.as_ref().filter(|read| read.bytes == bytes) {
            return Ok(read.options);
        }
        let options = match Json::from_datum(given, false) {
            Some(json) => parse_options(&json, defaults)?,
            None => defaults,
        };
        *read = Some(Read { bytes: bytes.to_vec(), options });
        Ok(options)
    }
}

fn parse_options(json: &Json, mut options: Options) -> Result<Options, Report> {
    for given in json.entries("options", "an object, as {\"folds\": 5}")? {
        match given.name.as_str() {
            "smoothing" => {
                options.smoothing = match (given.read::<String>(), given.read::<f64>()) {
                    (Some(word), _) if word == "auto" => Smoothing::AUTO,
                    (_, Some(rows)) if rows >= 0.0 => Smoothing::Rows(rows),
                    _ => return Err(given.invalid("auto, or a number of rows from 0")),
                }
            }
            "folds" => {
                let folds = given.read().filter(|folds| (2..=MAX_FOLDS).contains(folds));
                let valid = format!("a whole number from 2 to {MAX_FOLDS}");
                options.folds = folds.ok_or_else(|| given.invalid(&valid))?;
            }
            "seed" => options.seed = given.whole()?,
            _ => {
                let (option, valid) = (given.name, "smoothing, folds, seed".into());
                return Err(Error::UnknownOption { option, valid }.into());
            }
        }
    }
    Ok(options)
}

fn check_options(state: &[u8], options: &Options) -> Result<(), Report> {
    if map(state).map(|map| [map.head(0), map.head(1), map.head(2)])? == options.head() {
        return Ok(());
    }
    Err(report(
        PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        "the target encoders have different options",
    )
    .set_hint("Give the same options for all rows, and for all encoders that are to be merged."))
}

fn map(bytes: &[u8]) -> Result<FlatMap<'_>, Report> {
    FlatMap::read_any(bytes, HEAD).ok_or_else(|| {
        let why = format!("{} bytes that are not one", bytes.len());
        Error::InvalidValue { type_name: TargetEncoder::NAME, why }.into()
    })
}

fn fold_of(key: &str, folds: usize, seed: i64) -> usize {
    clean::fold(key.as_bytes(), folds as u32, seed) as usize - 1
}

#[pg_extern]
fn target_encoder_final(state: Bytes) -> Result<BytesOut, Report> {
    Ok(BytesOut(frozen(map(state.0)?)?))
}

#[pg_extern]
fn encode_target(
    encoder: Option<Stored>,
    category: Option<AnyElement>,
    fcinfo: FunctionCallInfo,
) -> Result<Option<f64>, Report> {
    let Some(encoder) = encoder else { return Ok(None) };
    let Encoding { kept, category: text, .. } =
        CallSite::of(fcinfo).remember(|| Encoding::of(fcinfo, false))?;
    encode(encodings(kept, encoder)?, *text, category, None)
}

#[pg_extern]
fn encode_target_of_key(
    encoder: Option<Stored>,
    category: Option<AnyElement>,
    key: Option<AnyElement>,
    fcinfo: FunctionCallInfo,
) -> Result<Option<f64>, Report> {
    let Some(encoder) = encoder else { return Ok(None) };
    let Encoding { kept, category: text, key: key_text } =
        CallSite::of(fcinfo).remember(|| Encoding::of(fcinfo, true))?;
    let encodings = encodings(kept, encoder)?;
    let (Some(key_text), Some(key)) = (key_text, key) else {
        return Err(Error::NullArgument { argument: "key" }.into());
    };
    if encodings.folds < 2 {
        return Err(report(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            "the target encoder was fitted without keys",
        )
        .set_hint("Fit it with persona.target_encoder(category, target, key)."));
    }
    // SAFETY: the datum is of this call's third argument.
    let fold = unsafe {
        key_text.text(key.datum(), "key", |key| fold_of(key, encodings.folds, encodings.seed))
    }?;
    encode(encodings, *text, category, Some(fold))
}

/// How a call site encodes: mostly by the same encoder row by row.
struct Encoding {
    kept: Kept<Encodings>,
    category: AnyText,
    /// None without a key.
    key: Option<AnyText>,
}

impl Encoding {
    fn of(fcinfo: FunctionCallInfo, has_key: bool) -> Result<Self, Report> {
        // SAFETY: the callers' SQL declares (encoder, category), and one of them a key behind these.
        unsafe {
            let key = has_key.then(|| AnyText::of(fcinfo, 2, "key")).transpose()?;
            Ok(Self {
                kept: Kept::of(fcinfo, 0),
                category: AnyText::of(fcinfo, 1, "category")?,
                key,
            })
        }
    }
}

fn encodings<'a>(kept: &'a mut Kept<Encodings>, encoder: Stored) -> Result<&'a Encodings, Report> {
    let (encodings, _) = kept.get(encoder, |encoder: TargetEncoder| Ok(encoder.encodings()))?;
    Ok(encodings)
}

/// `text` reads the call's second argument, the category.
fn encode(
    encodings: &Encodings,
    text: AnyText,
    category: Option<AnyElement>,
    fold: Option<usize>,
) -> Result<Option<f64>, Report> {
    let Some(category) = category else { return Ok(encodings.encode(None, fold)) };
    // SAFETY: the datum is of this argument.
    unsafe { text.text(category.datum(), "category", |text| encodings.encode(Some(text), fold)) }
}
