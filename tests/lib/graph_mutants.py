"""Mutants of ONNX models that are still protobuf: fields dropped, doubled, moved, nested, of other types, numbers at their extremes,
operators and attributes exchanged, data outside the model, and now and then a byte that flips.

`tree` reads a model into fields, `mutant` changes a copy of it, `written` makes bytes of it again.
"""

import random
import struct

from lib.onnx import varint

# Which fields of a message hold a message, and of what kind; what is not named here is a leaf.
INNER = {
    "model": {7: "graph", 8: "opset", 14: "entry", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 11: "value", 12: "value", 13: "value", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 10: "tensor", 6: "graph", 11: "graph", 14: "type", 15: "type", 22: "sparse", 23: "sparse"},
    "tensor": {13: "entry"},
    "sparse": {1: "tensor", 2: "tensor"},
    "function": {7: "node", 9: "opset", 11: "attribute", 12: "value"},
    "value": {2: "type"},
    "type": {1: "tensor_type", 4: "sequence", 5: "map", 8: "tensor_type", 9: "sequence"},
    "tensor_type": {2: "shape"}, "sequence": {1: "type"}, "map": {2: "type"}, "shape": {1: "dimension"},
    "training": {1: "graph", 2: "graph"},
}
NUMBERS = [0, 1, 2, 3, 4, 7, 8, 10, 16, 100, 1000, 10**6, 10**9, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64 - 2]
FLOATS = [0.0, -0.0, 1.0, -1.0, float("nan"), float("inf"), float("-inf"), 1e38, 1e-40]
WORDS = [b"", b"x", b"y", b"N", b"LEAF", b"BRANCH_EQ", b"BRANCH_LEQ", b"SOFTMAX", b"PROBIT", b"POLY", b"linear", b"../../PG_VERSION", b"/etc/passwd",
         b"\xff\xfe", b"a\0b", b"ai.onnx.ml", b"com.microsoft", b"local", b"evil", b"x" * 5000]
OPERATORS = [
    "Abs Acos Add And ArgMax ArgMin Asin Atan AveragePool BatchNormalization Bernoulli BitShift BitwiseAnd Cast CastLike Ceil Celu Clip Col2Im "
    "Compress Concat ConcatFromSequence Constant ConstantOfShape Conv ConvInteger ConvTranspose Cos CumSum DFT DepthToSpace DequantizeLinear Det "
    "Div Dropout DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather GatherElements GatherND Gelu Gemm "
    "GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GridSample GroupNormalization Hardmax HardSigmoid Identity If ImageDecoder "
    "InstanceNormalization IsInf IsNaN LRN LSTM LayerNormalization LeakyRelu Less Log LogSoftmax Loop LpNormalization LpPool MatMul "
    "MatMulInteger Max MaxPool MaxRoiPool MaxUnpool Mean MeanVarianceNormalization MelWeightMatrix Min Mish Mod Mul Multinomial Neg "
    "NegativeLogLikelihoodLoss NonMaxSuppression NonZero Not OneHot Optional OptionalGetElement OptionalHasElement Or PRelu Pad Pow QLinearConv "
    "QLinearMatMul QuantizeLinear RNN RandomNormal RandomNormalLike RandomUniform RandomUniformLike Range Reciprocal ReduceL1 ReduceMax "
    "ReduceProd ReduceSum RegexFullMatch Relu Reshape Resize ReverseSequence RoiAlign Round STFT Scan Scatter ScatterElements ScatterND Selu "
    "SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength SequenceMap Shape Shrink Sigmoid Sign Sin Size Slice "
    "Softmax SoftmaxCrossEntropyLoss Softplus SpaceToDepth Split SplitToSequence Sqrt Squeeze StringConcat StringNormalizer StringSplit Sub Sum "
    "Tan Tanh TfIdfVectorizer ThresholdedRelu Tile TopK Transpose Trilu Unique Unsqueeze Upsample Where Xor",
    "ArrayFeatureExtractor Binarizer CastMap CategoryMapper DictVectorizer FeatureVectorizer Imputer LabelEncoder LinearClassifier LinearRegressor "
    "Normalizer OneHotEncoder SVMClassifier SVMRegressor Scaler TreeEnsemble TreeEnsembleClassifier TreeEnsembleRegressor ZipMap",
    "Attention BiasGelu BifurcationDetector CDist ComplexMul ConvTransposeWithDynamicPads CropAndResize DequantizeLinear DynamicQuantizeMatMul "
    "EmbedLayerNormalization ExpandDims FastGelu FusedConv FusedGemm FusedMatMul GatherND Gelu GridSample Inverse Irfft MatMulInteger16 MaxpoolWithMask "
    "MultiHeadAttention MurmurHash3 NGramRepeatBlock NhwcMaxPool Pad QAttention QLinearAdd QLinearConcat QLinearSigmoid QuantizeLinear QuickGelu Range "
    "Rfft SampleOp SkipLayerNormalization SparseToDenseMatMul Tokenizer TransposeMatMul Trilu Unique WordConvEmbedding",
]
DOMAINS = [b"", b"ai.onnx.ml", b"com.microsoft"]
ATTRIBUTES = ["axis", "axes", "to", "kernel_shape", "pads", "strides", "dilations", "group", "hidden_size", "keepdims", "epsilon", "size", "seed", "shape",
              "high", "low", "mode", "direction", "perm", "value", "value_ints", "n_supports", "nodes_featureids", "classlabels_ints", "ngram_counts", "k", "num_outputs"]


def tree(payload, kind="model"):
    """A list of fields [number, wire type, value]; a value is a number, bytes, or a message (kind, fields)."""
    at, found = 0, []

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = payload[at]
            at, value, shift = at + 1, value | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80:
                return value

    while at < len(payload):
        tag = number()
        if tag & 7 == 0:
            value = number()
        else:
            length = number() if tag & 7 == 2 else {1: 8, 5: 4}[tag & 7]
            value, at = payload[at : at + length], at + length
        inner = INNER.get(kind, {}).get(tag >> 3) if tag & 7 == 2 else None
        found.append([tag >> 3, tag & 7, (inner, tree(value, inner)) if inner else value])
    return found


def written(fields):
    parts = []
    for number, wire, value in fields:
        parts.append(varint(number << 3 | wire))
        if isinstance(value, tuple):
            value = written(value[1])
        if isinstance(value, int):
            parts.append(varint(value & (1 << 64) - 1) if wire == 0 else value.to_bytes(16, "little")[: 8 if wire == 1 else 4])
        elif wire == 2:
            parts += [varint(len(value)), value]
        else:
            parts.append(value)
    return b"".join(parts)


def copied(fields):
    return [[number, wire, (value[0], copied(value[1])) if isinstance(value, tuple) else value] for number, wire, value in fields]


class Mutator:
    """Makes mutants of those models, each of one to four changes, always the same ones for a seed."""

    def __init__(self, models, seed):
        self.chance = random.Random(seed)
        self.models = [tree(model) for model in models]
        self.spare = {}
        for fields in self.models:
            for _, kind, inner in self.messages("model", fields):
                self.spare.setdefault(kind, []).append(inner)

    def messages(self, kind, fields):
        """Every message of a tree as (its holder's fields, its kind, its fields)."""
        found, new = [(None, kind, fields)], [(kind, fields)]
        while new:
            _, holder = new.pop()
            for _, _, value in holder:
                if isinstance(value, tuple):
                    found.append((holder, *value))
                    new.append(value)
        return found

    def mutant(self, which):
        fields = copied(self.models[which % len(self.models)])
        for _ in range(self.chance.choice([1, 1, 1, 2, 2, 3, 4])):
            self.change(fields)
        payload = written(fields)
        if self.chance.random() < 0.05:
            payload = self.flipped(payload)
        return payload

    def change(self, model):
        chance = self.chance
        every = self.messages("model", model)
        _, kind, fields = chance.choice(every)
        if chance.random() < 0.6:
            # Most messages are dimensions and types: what runs is in these.
            kinds = ("node", "attribute", "tensor", "graph", "function")
            _, kind, fields = chance.choice([one for one in every if one[1] in kinds] or every)
        known = getattr(self, f"change_{kind}", None)
        if known and chance.random() < 0.6:
            known(fields, model)
        else:
            self.change_any(kind, fields)

    def change_any(self, kind, fields):
        chance = self.chance
        if not fields:
            fields.append([chance.randrange(1, 30), *chance.choice([(0, 1), (2, b"x"), (5, b"\0" * 4)])])
            return
        at = chance.randrange(len(fields))
        field = fields[at]
        choice = chance.randrange(9)
        if choice == 0:
            del fields[at]
        elif choice == 1:
            fields.insert(chance.randrange(len(fields) + 1), copied([field])[0])
        elif choice == 2:
            other = chance.randrange(len(fields))
            fields[at], fields[other] = fields[other], fields[at]
        elif choice == 3:
            field[1] = chance.choice([0, 1, 2, 3, 5, 6])
            if field[1] == 0 and not isinstance(field[2], int):
                field[2] = chance.choice(NUMBERS)
            elif field[1] in (1, 5) and not isinstance(field[2], int):
                field[2] = chance.randbytes(8 if field[1] == 1 else 4)
            elif field[1] == 2 and isinstance(field[2], int):
                field[2] = varint(field[2])
        elif choice == 4:
            field[0] = chance.randrange(1, 30)
        elif choice == 5 and isinstance(field[2], tuple):
            kind, own = field[2]
            field[2] = (kind, copied(chance.choice(self.spare.get(kind, [own]))))
        elif choice == 6 and isinstance(field[2], tuple):
            # Within itself: a message of the same kind where that is allowed, else one that readers must make something of.
            field[2] = (field[2][0], [*field[2][1], copied([field])[0]])
        else:
            self.change_leaf(field)

    def change_leaf(self, field):
        chance = self.chance
        if isinstance(field[2], tuple):
            inner = field[2][1]
            if inner:
                self.change_leaf(chance.choice(inner))
        elif isinstance(field[2], int):
            field[2] = chance.choice([*NUMBERS, field[2] + 1, field[2] - 1, field[2] ^ 1 << chance.randrange(64)]) & (1 << 64) - 1
        elif field[1] == 5:
            field[2] = struct.pack("<f", chance.choice(FLOATS))
        else:
            field[2] = self.changed_bytes(field[2])

    def changed_bytes(self, value):
        chance = self.chance
        choice = chance.randrange(6)
        if choice == 0 or not value:
            return chance.choice(WORDS)
        if choice == 1:
            return value[: chance.randrange(len(value))]
        if choice == 2:
            return value + chance.randbytes(chance.choice([1, 4, 8]))
        if choice == 3:
            return self.flipped(value)
        at = chance.randrange(len(value))
        piece = struct.pack("<Q", chance.choice(NUMBERS)) if choice == 4 else struct.pack("<f", chance.choice(FLOATS))
        return value[:at] + piece + value[at + len(piece) :]

    def flipped(self, value):
        value = bytearray(value)
        for _ in range(self.chance.choice([1, 1, 2, 5])):
            if value:
                value[self.chance.randrange(len(value))] ^= 1 << self.chance.randrange(8)
        return bytes(value)

    # -- What a graph is made of ---------------------------------------------------------------------------------------

    def names(self, model):
        found = [b"", b"x"]
        for _, kind, fields in self.messages("model", model):
            if kind == "node":
                found += [value for number, _, value in fields if number in (1, 2) and isinstance(value, bytes)]
            elif kind == "tensor":
                found += [value for number, _, value in fields if number == 8 and isinstance(value, bytes)]
        return found

    def operator(self):
        which = self.chance.choice([0, 0, 0, 1, 2])
        return self.chance.choice(OPERATORS[which].split()).encode(), DOMAINS[which]

    def change_node(self, fields, model):
        chance = self.chance
        choice = chance.randrange(4)
        if choice == 0:
            name, domain = self.operator()
            fields[:] = [field for field in fields if field[0] not in (4, 7)] + [[4, 2, name], [7, 2, domain]]
        elif choice == 1:
            places = [field for field in fields if field[0] == (2 if chance.random() < 0.2 else 1)]
            if places:
                chance.choice(places)[2] = chance.choice(self.names(model))
        elif choice == 2:
            fields.append([5, 2, ("attribute", self.attribute(model))])
        else:
            fields.insert(0, [1, 2, chance.choice(self.names(model))])

    def attribute(self, model):
        chance = self.chance
        name = [1, 2, chance.choice(ATTRIBUTES).encode()]
        number = chance.choice(NUMBERS)
        kinds = [([3, 0, number], 2), ([2, 5, struct.pack("<f", chance.choice(FLOATS))], 1), ([4, 2, chance.choice(WORDS)], 3),
                 ([8, 2, varint(number) + varint(chance.choice(NUMBERS))], 7), ([7, 2, struct.pack("<2f", *chance.sample(FLOATS, 2))], 6),
                 ([9, 2, chance.choice(WORDS)], 8), ([5, 2, ("tensor", copied(chance.choice(self.spare["tensor"])))], 4),
                 ([6, 2, ("graph", copied(chance.choice(self.spare["graph"])))], 5)]
        held, kind = chance.choice(kinds)
        return [name, held, [20, 0, kind if chance.random() < 0.9 else chance.randrange(20)]]

    def change_attribute(self, fields, model):
        held = [field for field in fields if field[0] not in (1, 20)]
        if held and self.chance.random() < 0.7:
            field = self.chance.choice(held)
            if self.chance.random() < 0.3 and len(held) > 2:
                fields.remove(field)
            else:
                self.change_leaf(field)
        else:
            fields[:] = self.attribute(model)

    def change_tensor(self, fields, model):
        chance = self.chance
        choice = chance.randrange(5)
        if choice == 0:
            fields.append([1, 0, chance.choice(NUMBERS)])
        elif choice == 1:
            fields.append([2, 0, chance.randrange(26)])
        elif choice == 2:
            entry = [[1, 2, b"location"], [2, 2, chance.choice(WORDS)]]
            fields += chance.choice([[[14, 0, 1]], [[13, 2, ("entry", entry)]], [[13, 2, ("entry", entry)], [14, 0, chance.choice(NUMBERS)]]])
        else:
            places = [field for field in fields if field[0] == (1 if choice == 3 else 9)]
            if places:
                self.change_leaf(chance.choice(places))

    def change_graph(self, fields, model):
        chance = self.chance
        nodes = [at for at, field in enumerate(fields) if field[0] == 1 and isinstance(field[2], tuple)]
        choice = chance.randrange(4)
        if choice == 0 and nodes:
            del fields[chance.choice(nodes)]
        elif choice == 1 and nodes:
            name, domain = self.operator()
            new = f"n{chance.randrange(1000)}".encode()
            given = [[1, 2, chance.choice(self.names(model))] for _ in range(chance.randrange(1, 4))]
            at = chance.choice(nodes)
            for field in fields[at][2][1]:
                if field[0] == 1 and chance.random() < 0.7:
                    field[2] = new
                    break
            fields.insert(at, [1, 2, ("node", [*given, [2, 2, new], [4, 2, name], [7, 2, domain]])])
        elif choice == 2:
            number, kind = chance.choice([(5, "tensor"), (1, "node"), (11, "value"), (12, "value"), (15, "sparse")])
            if kind in self.spare:
                fields.append([number, 2, (kind, copied(chance.choice(self.spare[kind])))])
        else:
            self.change_any("graph", fields)
