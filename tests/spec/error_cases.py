"""Wrong specs, one mistake each; what is said about them is in errors.golden."""

HEADER = """unit m  unit s
const two = 2
network n = onnx("n.onnx") {
  input x [m] in [0, 1]   input v [m/s] in [-1, 1]   input px[2,3] in [0, 1]
  output a, b, c          output d [m]
}
"""


def prop(body: str) -> str:
    return HEADER + "property p {\n  " + body + "\n}\n"


def forall(body: str) -> str:
    return prop("forall s : n.input\n  " + body)


NETWORK = 'network n = onnx("n.onnx") {\n  %s\n}\nproperty p { forall s : n.input  assert s.x <= 1 }\n'
CASES = {
    "stray_word": "prperty p { }\n",
    "keyword_typo": forall("asume s.x <= 1[m]"),
    "missing_operand": forall("assert s.x <="),
    "statement_as_operand": forall("assert s.x + \n  assert true"),
    "unit_without_brackets": forall("assert s.x <= 5m"),
    "unicode_operator": forall("assert s.x ≤ 1[m]"),
    "assignment_for_equality": forall("assert s.x = 1[m]"),
    "c_style_and": forall("assert s.x <= 1[m] && true"),
    "decimal_without_digit": forall("assert s.x <= .5[m]"),
    "unended_text": HEADER + 'property p "title { }\n',
    "unclosed_parenthesis": forall("assert (s.x + 1[m] <= 1[m]"),
    "unclosed_brace": HEADER + "property p {\n  forall s : n.input\n  assert true\n",
    "unclosed_bracket": forall("assert n(s)[a <= 1"),
    "wrong_closer": forall("assert (s.x] <= 1[m]"),
    "choice_closed_by_parenthesis": forall("assert all k in {a, b) : true"),
    "extra_closer": forall("assert s.x) <= 1[m]"),
    "too_deep": forall("assert " + "not " * 200 + "true"),
    "huge_number": "const k = 1e99999\n",
    "empty_file": "# nothing\n",
    "no_property": HEADER,
    "dataset_missing": HEADER + 'dataset t = csv("t.csv") for n\nproperty p { forall s : n.input  assert true }\n',
    "dataset_network": HEADER + 'dataset t = csv("t.csv") for m\nproperty p { forall s : n.input  assert true }\n',
    "system_later": "unit m\nsystem c { state p [m] next p = p }\nproperty p { forall q : c.state  assert true }\n",
    "sweep_interval": HEADER + "property p for e in [1, 2] { forall s : n.input  assert true }\n",
    "sweep_network": HEADER + "property p for e in n { forall s : n.input  assert true }\n",
    "sweep_function": HEADER + "property p for e in {n} { forall s : n.input  assert true }\n",
    "sweep_declared": HEADER + "property p for two in {1} { forall s : n.input  assert true }\n",
    "ball_centre": prop("forall s : linf(1, 2)\n  assert true"),
    "ball_radius": prop("forall s : n.input\n  forall t : linf(s, 1[m])\n  assert true"),
    "ball_negative": prop("forall s : n.input\n  forall t : l2(s, -1)\n  assert true"),
    "ball_arguments": prop("forall s : n.input\n  forall t : l1(s)\n  assert true"),
    "ball_as_value": forall("assert linf <= 1"),
    "range_of_number": forall("assert all k in two : true"),
    "hidden_later": NETWORK % 'hidden h[3] at "z"  input x  output y',
    "unknown_name": forall("assert t.x <= 1[m]"),
    "misspelt_function": forall("assert mox(s.x, 0) <= 1[m]"),
    "output_without_call": forall("assert a <= 1"),
    "unit_as_name": forall("assert s.x <= m"),
    "used_before_declared": "const a = b\nconst b = 1\nproperty p { forall x : [0, 1]  assert true }\n",
    "unknown_field": forall("assert s.y <= 1[m]"),
    "misspelt_field": forall("assert s.pxx[0,0] <= 1"),
    "output_of_input": forall("assert s.a <= 1"),
    "unknown_output_field": forall("assert n(s).aa <= 1"),
    "unknown_network": prop("forall s : m.input\n  assert true"),
    "unknown_unit": forall("assert s.x <= 1[km]"),
    "unknown_attribute": HEADER + "@expct(proved)\nproperty p { forall s : n.input  assert true }\n",
    "duplicate_property": forall("assert true") + "property p { forall s : n.input  assert true }\n",
    "duplicate_const": "const a = 1\nconst a = 2\n" + forall("assert true"),
    "duplicate_field": NETWORK % "input x  input x  output y",
    "duplicate_variable": forall("let s = 1\n  assert true"),
    "shadowed_network": prop("forall n : n.input\n  assert true"),
    "builtin_redefined": "const abs = 1\n" + forall("assert true"),
    "unit_clash_compare": forall("assert s.x <= s.v"),
    "unit_clash_sum": forall("assert s.x + 1[s] <= 1[m]"),
    "bare_number": forall("assert s.x <= 0.5"),
    "bare_constant": forall("assert s.x <= two"),
    "clash_of_max": forall("assert max(s.x, s.v) <= 1[m]"),
    "product": forall("assert s.x * s.v <= 1[m^2/s]"),
    "product_of_network": forall("assert n(s).a * s.x <= 1[m]"),
    "division_by_variable": forall("assert 1[m] / s.x <= 1"),
    "division_by_zero": forall("assert s.x / (two - 2) <= 1[m]"),
    "condition_as_number": forall("assert (s.x <= 1[m]) + 1 <= 2"),
    "number_as_condition": forall("assert s.x"),
    "network_as_value": forall("assert n <= 1"),
    "record_as_number": forall("assert s <= 1"),
    "compare_conditions": forall("assert true == false"),
    "decision_compared": (NETWORK % "input x in [0, 1]  output y, z").replace("s.x <= 1", "argmax(n(s)) == y"),
    "label_as_number": forall("assert all k in {a, b} : k <= 1"),
    "no_quantifier": prop("assert true"),
    "mixed_quantifiers": prop("forall s : n.input\n  exists t : n.input\n  assert true"),
    "no_assert": forall("assume true"),
    "assume_after_assert": forall("assert true\n  assume true"),
    "expect_unknown": HEADER + "@expect(prooved)\nproperty p { forall s : n.input  assert true }\n",
    "expect_wrong_quantifier": HEADER + "@expect(witnessed)\nproperty p { forall s : n.input  assert true }\n",
    "timeout_zero": HEADER + "@timeout(0)\nproperty p { forall s : n.input  assert true }\n",
    "expect_without_argument": HEADER + "@expect\nproperty p { forall s : n.input  assert true }\n",
    "index_range": forall("assert s.px[0,3] <= 1"),
    "index_count": forall("assert s.px[0] <= 1"),
    "index_fraction": forall("assert s.px[0,0.5] <= 1"),
    "output_index_range": forall("assert n(s)[4] <= 1"),
    "index_of_scalar": forall("assert s.x[0] <= 1"),
    "abs_arguments": forall("assert abs(s.x, s.x) <= 1[m]"),
    "define_arguments": "define f(x: n.input) = true\n" + forall("assert f(s, s)"),
    "network_arguments": forall("assert n(s, s).a <= 1"),
    "network_number": forall("assert n(s.x).a <= 1"),
    "named_argument_unknown": forall("assert n(x = s.x, w = s.v).a <= 1"),
    "recursive_define": HEADER
    + "define f(u: n.input) = g(u)\ndefine g(u: n.input) = f(u)\nproperty p { forall s : n.input  assert f(s) }\n",
    "unused_define_checked": HEADER
    + "define f(u: n.input) = u.x <= 1\nproperty p { forall s : n.input  assert true }\n",
    "wrong_record": HEADER
    + 'network k = onnx("k") { input z  output w }\nproperty p { forall s : n.input  assert k(s).w <= 1 }\n',
    "not_an_output": (NETWORK % "input x in [0, 1]  output y, z").replace("s.x <= 1", "argmax(n(s)) is left"),
    "argmax_units": forall("assert argmax(n(s)) is a"),
    "argmax_slopes": (NETWORK % "input x in [0, 1]  output y, z raw = value  output w raw = 2 * value").replace(
        "s.x <= 1", "argmax(n(s)) is y"
    ),
    "argmax_negative": (NETWORK % "input x in [0, 1]  output y, z raw = -value").replace(
        "s.x <= 1", "argmax(n(s)) is y"
    ),
    "is_on_number": forall("assert s.x is a"),
    "raw_not_affine": NETWORK % "input x in [0, 1] raw = value * value  output y",
    "raw_abs": NETWORK % "input x in [0, 1] raw = abs(value)  output y",
    "raw_constant": NETWORK % "input x in [0, 1] raw = 3  output y",
    "raw_units": "unit m\n" + NETWORK % "input x [m] in [0, 1] raw = value / 2[m]  output y",
    "empty_range": NETWORK % "input x in [1, 0]  output y",
    "range_on_output": NETWORK % "input x in [0, 1]  output y in [0, 1]",
    "no_outputs": NETWORK % "input x in [0, 1]",
    "param_range": "param eps in [0, 1] = 2\n" + forall("assert true"),
    "param_no_value": "param eps in [0, 1]\n" + forall("assert true"),
    "const_not_constant": forall("assert true").replace("const two = 2", "const two = 2 <= 3"),
    "range_not_constant": prop("forall t : [0, 1]  forall u : [0, t]\n  assert true"),
    "unit_zero": "unit km = 0[m]\n".replace("unit", "unit m unit", 1)
    + "property p { forall x : [0, 1]  assert true }\n",
    "same_exception": forall("assert true")
    .replace("forall s", "forall s, t")
    .replace("assert true", "assert same(s, t) except y"),
    "finite_variable": forall("assert all s in {a, b} : true"),
    "empty_steps": forall("assert any i in 3..1 : true"),
    "property_word_as_name": forall("assert s.x <= 1[m] and").rstrip().rstrip("}") + "property q { }\n",
}
