# pyright: reportArgumentType=false, reportCallIssue=false, reportOperatorIssue=false
"""Sixteen float32 numbers as one value, for numba kernels.

A `Lanes` variable is a vector register: `a + b` adds sixteen pairs at once. Numba has no such type,
and its automatic vectorisation goes through memory; here each operation is one vector instruction
of LLVM, which every processor can run, 16, 8 or 4 numbers at a time. (The type checker cannot know
that numba adds the first argument of an intrinsic, hence the line above.)
"""

import operator

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, overload, register_model

WIDTH = 16
_FLOAT = ir.FloatType()
_VECTOR = ir.VectorType(_FLOAT, WIDTH)
_INTS = ir.VectorType(ir.IntType(32), WIDTH)


class Lanes(types.Type):
    """The numba type of sixteen float32 numbers."""

    def __init__(self):
        super().__init__(name="Lanes")


LANES = Lanes()
_ADDRESS = types.CPointer(types.float32)


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, _VECTOR)


def _place(builder, pointer, i, pointee: ir.Type):
    return builder.bitcast(builder.gep(pointer, [i]), pointee.as_pointer())


def _broadcast(builder, number):
    one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), number, ir.IntType(32)(0))
    return builder.shuffle_vector(one, ir.Constant(_VECTOR, ir.Undefined), ir.Constant(_INTS, None))


def _call(builder, name: str, result: ir.Type, *args):
    kinds = [arg.type for arg in args]
    function = builder.module.declare_intrinsic(name, fnty=ir.FunctionType(result, kinds))
    return builder.call(function, args)


@intrinsic
def pointer(typing, array):
    """Address of an array's first element. Indexing it checks nothing and counts no references,
    which is what an inner loop wants; the array must outlive it."""

    def code(context, builder, signature, args):
        return context.make_array(signature.args[0])(context, builder, args[0]).data

    return types.CPointer(array.dtype)(array), code


@intrinsic
def after(typing, p, i):
    """The pointer i elements further on."""

    def code(context, builder, signature, args):
        return builder.gep(*args[:1], [args[1]])

    return p(p, types.intp), code


@intrinsic
def load(typing, p, i):
    """Lanes at p[i : i + 16], which must start on a multiple of 64 bytes."""

    def code(context, builder, signature, args):
        return builder.load(_place(builder, args[0], args[1], _VECTOR), align=64)

    return LANES(_ADDRESS, types.intp), code


@intrinsic
def load_anywhere(typing, p, i):
    """Lanes at p[i : i + 16], wherever that starts."""

    def code(context, builder, signature, args):
        return builder.load(_place(builder, args[0], args[1], _VECTOR), align=4)

    return LANES(_ADDRESS, types.intp), code


@intrinsic
def store(typing, p, i, value):
    """p[i : i + 16] = value, on a multiple of 64 bytes."""

    def code(context, builder, signature, args):
        builder.store(args[2], _place(builder, args[0], args[1], _VECTOR), align=64)

    return types.void(_ADDRESS, types.intp, LANES), code


@intrinsic
def spread(typing, p, i):
    """p[i] in all lanes."""

    def code(context, builder, signature, args):
        return _broadcast(builder, builder.load(_place(builder, args[0], args[1], _FLOAT)))

    return LANES(_ADDRESS, types.intp), code


@intrinsic
def fill(typing, number):
    """One number in all lanes."""

    def code(context, builder, signature, args):
        return _broadcast(builder, args[0])

    return LANES(types.float32), code


@intrinsic
def fma(typing, a, b, c):
    """a * b + c, rounded once."""

    def code(context, builder, signature, args):
        return _call(builder, f"llvm.fma.v{WIDTH}f32", _VECTOR, *args)

    return LANES(LANES, LANES, LANES), code


def _binary(instruction: str):
    @intrinsic
    def operation(typing, a, b):
        def code(context, builder, signature, args):
            return getattr(builder, instruction)(*args)

        return LANES(LANES, LANES), code

    return operation


_add, _sub, _mul = _binary("fadd"), _binary("fsub"), _binary("fmul")


@overload(operator.add)
def _(a, b):
    return (lambda a, b: _add(a, b)) if isinstance(a, Lanes) else None


@overload(operator.sub)
def _(a, b):
    return (lambda a, b: _sub(a, b)) if isinstance(a, Lanes) else None


@overload(operator.mul)
def _(a, b):
    return (lambda a, b: _mul(a, b)) if isinstance(a, Lanes) else None


@intrinsic
def keep_apart(typing):
    """Keep the calling function apart: inlined into a larger one it would run out of registers."""

    def code(context, builder, signature, args):
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.none(), code


def _choice(relation: str):
    @intrinsic
    def operation(typing, a, b):
        def code(context, builder, signature, args):
            # A NaN in b leaves a.
            return builder.select(builder.fcmp_ordered(relation, *args[::-1]), *args[::-1])

        return LANES(LANES, LANES), code

    return operation


def _join(s: int):
    @intrinsic
    def operation(typing, a, b):
        def code(context, builder, signature, args):
            picks = ir.Constant(_INTS, [ir.IntType(32)(i) for i in range(s, s + WIDTH)])
            return builder.shuffle_vector(*args, picks)

        return LANES(LANES, LANES), code

    return operation


# Sixteen numbers of the 32 in a and b, without the first 1, 2, 4 or 8.
join1, join2, join4, join8 = _join(1), _join(2), _join(4), _join(8)


larger, smaller = _choice(">"), _choice("<")


@intrinsic
def any_below(typing, a, b):
    """1 if a < b in any lane, else 0. A NaN is below nothing."""

    def code(context, builder, signature, args):
        bits = builder.bitcast(builder.fcmp_ordered("<", *args), ir.IntType(WIDTH))
        return builder.zext(builder.icmp_unsigned("!=", bits, bits.type(0)), ir.IntType(64))

    return types.int64(LANES, LANES), code


@intrinsic
def where_below(typing, a, b, value):
    """value where a < b, else 0."""

    def code(context, builder, signature, args):
        a, b, value = args
        return builder.select(builder.fcmp_ordered("<", a, b), value, ir.Constant(_VECTOR, None))

    return LANES(LANES, LANES, LANES), code


def _reduction(name: str, start: float | None):
    @intrinsic
    def reduce(typing, a):
        def code(context, builder, signature, args):
            args = args if start is None else (_FLOAT(start), *args)
            return _call(builder, name, _FLOAT, *args)

        return types.float32(LANES), code

    return reduce


smallest = _reduction(f"llvm.vector.reduce.fmin.v{WIDTH}f32", None)
total = _reduction(f"llvm.vector.reduce.fadd.v{WIDTH}f32", 0.0)


@intrinsic
def exp2(typing, a):
    """2**a for -125 <= a <= 127, within 2e-7 of its value."""

    def code(context, builder, signature, args):
        def constant(number):
            return ir.Constant(_VECTOR, [number] * WIDTH)

        # Adding 1.5 * 2**23 rounds to an integer, which the low bits of the sum then hold.
        magic = constant(12582912.0)
        shifted = builder.fadd(args[0], magic)
        f = builder.fsub(args[0], builder.fsub(shifted, magic))  # in [-1/2, 1/2]
        value = constant(_EXP2[0])
        for coefficient in _EXP2[1:]:
            value = _call(
                builder, f"llvm.fma.v{WIDTH}f32", _VECTOR, value, f, constant(coefficient)
            )
        bits = builder.shl(builder.bitcast(shifted, _INTS), ir.Constant(_INTS, [23] * WIDTH))
        return builder.bitcast(builder.add(builder.bitcast(value, _INTS), bits), _VECTOR)

    return LANES(LANES), code


# Minimax polynomial of 2**f on [-1/2, 1/2], highest power first.
_EXP2 = (
    0.001327647129073739,
    0.009675540961325169,
    0.05550713092088699,
    0.24022120237350464,
    0.6931469440460205,
    1.0,
)
