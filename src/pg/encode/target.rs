//! `target_encoder`: an aggregate whose state is its result; categories encoded by it, in and out of fold.

use pgrx::prelude::*;

use crate::algo::clean;
use crate::algo::encode::target::{
    self, Encodings, HEAD, MAX_FOLDS, Moments, Options, Smoothing, TargetEncoder,
};
use crate::algo::flat_map::{FlatMap, frozen};
use crate::pg::error::{Error, Report, report};
use crate::pg::rows::flat::{self, BytesOut};
use crate::pg::sys::call::{Any, Call, Maybe, Next, Of, State, functions};
use crate::pg::sys::call_site::CallSite;
use crate::pg::types::any_text::AnyText;
use crate::pg::types::options::Json;
use crate::pg::types::value::{Bytes, Jsonb, Kept, SqlType, Stored};
use crate::pg::types::value_type::value_type;

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

functions! {
    /// Adds a row: its category, its target, its key, and the options. A NULL target is skipped, and so is a NULL category.
    fn target_encoder_add(State<TargetEncoder>, Any, f64, Maybe<Any>, Maybe<Jsonb>) -> State<TargetEncoder> = add;
    /// The state of two states; a plain function too, by which `rollup` merges stored ones.
    fn target_encoder_combine(State<TargetEncoder>, Of<TargetEncoder>) -> State<TargetEncoder> = combine;
    fn encode_target_wrapper(Stored, Any) -> f64 = encode_target;
    fn encode_target_of_key_wrapper(Stored, Any, Any) -> f64 = encode_target_of_key;
}

#[inline]
fn add<'call>(
    Call { args, site }: Call<'call, (State<TargetEncoder>, Any, f64, Maybe<Any>, Maybe<Jsonb>)>,
) -> Next<'call> {
    let (Some(category), Some(target)) = (args.any::<1>(), args.get::<2>()) else {
        return Ok(args.unchanged());
    };
    if !target.is_finite() {
        return Err(Error::NotFiniteArgument { argument: "target".into(), value: target }.into());
    }
    let has_key = args.has::<3>();
    let site = site.remember(|site| {
        Ok(Site {
            category: AnyText::of(site, 1, "category")?,
            key: has_key.then(|| AnyText::of(site, 3, "key")).transpose()?,
            options: None,
        })
    })?;
    let options = options(args.get::<4>(), has_key, &mut site.options)?;
    let fold = match site.key {
        None => 0,
        Some(text) => {
            let key = args.any::<3>().ok_or(Error::NullArgument { argument: "key" })?;
            text.text(key, "key", |key| fold_of(key, options.folds, options.seed))?
        }
    };
    let mut state = flat::State::of(args, || target::empty(&options));
    check_options(state.bytes(), &options)?;
    // A result in a result would be moved for each row: it is wide.
    let mut outcome = Ok(false);
    site.category.text(category, "category", |category| {
        let one = Moments::one(target);
        outcome = state.update(category.as_bytes(), |words| target::add(words, fold, &one));
    })?;
    outcome?;
    Ok(state.into())
}

fn combine<'call>(
    Call { args, .. }: Call<'call, (State<TargetEncoder>, Of<TargetEncoder>)>,
) -> Next<'call> {
    let Some(other) = args.get::<1>() else { return Ok(args.unchanged()) };
    let other = map(other)?;
    let options = Options::of(&other);
    let mut state = flat::State::of(args, || target::empty(&options));
    check_options(state.bytes(), &options)?;
    for (category, folds) in target::categories(other) {
        state.update(category, |words| {
            for (fold, moments) in folds.iter().enumerate() {
                target::add(words, fold, moments);
            }
        })?;
    }
    Ok(state.into())
}

/// The options of the call, read once for the same bytes.
fn options(
    given: Option<Jsonb>,
    has_key: bool,
    read: &mut Option<Read>,
) -> Result<Options, Report> {
    let folds = if has_key { FOLDS } else { 1 };
    let defaults = Options { smoothing: Smoothing::AUTO, folds, seed: 0 };
    let Some(given) = given else { return Ok(defaults) };
    if let Some(read) = read.as_ref().filter(|read| read.bytes == given.bytes()) {
        return Ok(read.options);
    }
    let options = parse_options(&given.read()?, defaults)?;
    *read = Some(Read { bytes: given.bytes().to_vec(), options });
    Ok(options)
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

#[inline]
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

fn encode_target(Call { args, site }: Call<(Stored, Any)>) -> Result<Option<f64>, Report> {
    let Some(encoder) = args.get::<0>() else { return Ok(None) };
    let site = site.remember(|site| Encoding::of(site, false))?;
    let encodings = encodings(&mut site.kept, encoder)?;
    encode(encodings, site.category, args.any::<1>(), None)
}

fn encode_target_of_key(
    Call { args, site }: Call<(Stored, Any, Any)>,
) -> Result<Option<f64>, Report> {
    let Some(encoder) = args.get::<0>() else { return Ok(None) };
    let Encoding { kept, category, key: text } = site.remember(|site| Encoding::of(site, true))?;
    let encodings = encodings(kept, encoder)?;
    let (Some(text), Some(key)) = (text, args.any::<2>()) else {
        return Err(Error::NullArgument { argument: "key" }.into());
    };
    if encodings.folds < 2 {
        return Err(report(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            "the target encoder was fitted without keys",
        )
        .set_hint("Fit it with persona.target_encoder(category, target, key)."));
    }
    let fold = text.text(key, "key", |key| fold_of(key, encodings.folds, encodings.seed))?;
    encode(encodings, *category, args.any::<1>(), Some(fold))
}

/// How a call site encodes: mostly by the same encoder row by row.
struct Encoding {
    kept: Kept<Encodings>,
    category: AnyText,
    /// None without a key.
    key: Option<AnyText>,
}

impl Encoding {
    /// Of a function of an encoder, a category and perhaps a key.
    fn of(site: &CallSite, has_key: bool) -> Result<Self, Report> {
        let key = has_key.then(|| AnyText::of(site, 2, "key")).transpose()?;
        let category = AnyText::of(site, 1, "category")?;
        Ok(Self { kept: Kept::of(site, 0), category, key })
    }
}

fn encodings<'a>(kept: &'a mut Kept<Encodings>, encoder: Stored) -> Result<&'a Encodings, Report> {
    let (encodings, _) = kept.get(encoder, |encoder: TargetEncoder| Ok(encoder.encodings()))?;
    Ok(encodings)
}

fn encode(
    encodings: &Encodings,
    text: AnyText,
    category: Option<Any>,
    fold: Option<usize>,
) -> Result<Option<f64>, Report> {
    let Some(category) = category else { return Ok(encodings.encode(None, fold)) };
    text.text(category, "category", |text| encodings.encode(Some(text), fold))
}
