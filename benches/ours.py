"""Our side of the measurements as SQL text: the one place that knows the names of arguments and result columns."""

COLUMNS = "abcdefgh"


def fit_segments(model, source, k, features=COLUMNS, seed=1, iterations=100, starts=1, scaling="standard", save_to=None, key="id", weight_column=None):
    options = [f"k => {k}", f"features => '{{{','.join(features)}}}'", f"scaling => '{scaling}'", f"seed => {seed}",
               f"max_iterations => {iterations}", f"n_init => {starts}"]
    if weight_column:
        options.append(f"weight_column => '{weight_column}'")
    if save_to:
        options.append(f"save_to => '{save_to}'")
    return f"SELECT * FROM persona.fit_segments('{model}', '{source}', '{key}', {', '.join(options)})"


def iterations(model):
    """How many the active version of a model of segments took."""
    return f"SELECT (metrics->>'iterations')::integer FROM persona.models WHERE model = '{model}'"


def centroids(model):
    """Rows of (segment, feature, value in original units)."""
    return f"SELECT segment, feature, mean FROM persona.segment_profile('{model}')"


def fit_recommender(model, source, algorithm):
    """Of all rows: the benchmark has held its own out already."""
    return f"SELECT * FROM persona.fit_recommender('{model}', '{source}', algorithm => '{algorithm}', refit_on_all => true)"


def recommend_all(model, n):
    """Rows of (user, item, rank)."""
    return f"SELECT user_key, item, rank FROM persona.recommend_all('{model}', {n})"


def fit_logistic(model, source, target):
    return f"SELECT * FROM persona.fit_scorer('{model}', '{source}', '{target}', algorithm => 'logistic')"


def import_onnx(model, payload):
    return f"SELECT * FROM persona.import_onnx('{model}', decode('{payload.hex()}', 'hex'))"
