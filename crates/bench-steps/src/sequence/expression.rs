//! Arithmetic on named readings. The only place that names the library for it.

use bench_plan::{ParamProblem, nearest_help};
use evalexpr::{
    Context, ContextWithMutableFunctions, ContextWithMutableVariables, EvalexprError, Function, HashMapContext, Node,
    Operator, Value, build_operator_tree,
};
use std::collections::BTreeMap;

/// A checked expression.
pub(super) struct Expression {
    text: String,
    tree: Node,
    names: Vec<String>,
}

/// Functions of numbers.
const FUNCTIONS: &[&str] = &["abs", "max", "mean", "min", "sqrt"];

impl Expression {
    /// Reads an expression over readings with these names.
    ///
    /// # Errors
    /// When it is none, or names another reading or function.
    pub fn parse(text: &str, known: &[&str]) -> Result<Self, ParamProblem> {
        let wrong = |error: EvalexprError| ParamProblem::new(format!("{text:?} cannot be calculated: {error}"));
        let mut tree = build_operator_tree(text).map_err(wrong)?;
        in_decimals(&mut tree);
        let names: Vec<String> = tree.iter_variable_identifiers().map(str::to_owned).collect();
        if let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) {
            return Err(ParamProblem::new(format!("no reading before this is called `{name}`")).help(nearest_help(
                name,
                known.iter().copied(),
                "readings",
            )));
        }
        if let Some(name) = tree.iter_function_identifiers().find(|name| !FUNCTIONS.contains(name)) {
            return Err(ParamProblem::new(format!("there is no function `{name}`")).help(nearest_help(
                name,
                FUNCTIONS.iter().copied(),
                "functions",
            )));
        }
        let expression = Self { text: text.to_owned(), tree, names };
        // Whether it comes to a number does not depend on the readings.
        let trial: BTreeMap<&str, f64> = expression.names.iter().map(|name| (name.as_str(), 1.0)).collect();
        match expression.evaluate(&trial) {
            Ok(_) => Ok(expression),
            Err(error) => Err(wrong(error)),
        }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// Readings in it.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Its value; `None` where a reading is missing. It may be infinite or no number.
    pub fn value(&self, readings: &BTreeMap<&str, f64>) -> Option<f64> {
        self.evaluate(readings).ok()
    }

    fn evaluate(&self, readings: &BTreeMap<&str, f64>) -> Result<f64, EvalexprError> {
        let mut context = HashMapContext::new();
        for (name, function) in functions() {
            context.set_function(name.to_owned(), function)?;
        }
        context.set_builtin_functions_disabled(true)?;
        for name in &self.names {
            let Some(value) = readings.get(name.as_str()) else {
                return Err(EvalexprError::VariableIdentifierNotFound(name.clone()));
            };
            context.set_value(name.clone(), Value::Float(*value))?;
        }
        self.tree.eval_number_with_context(&context)
    }
}

/// Makes `1 / 2` a half and not zero.
fn in_decimals(tree: &mut Node) {
    if let Operator::Const { value } = tree.operator_mut()
        && let Value::Int(number) = value
    {
        *value = Value::Float(*number as f64);
    }
    tree.children_mut().iter_mut().for_each(in_decimals);
}

fn functions() -> [(&'static str, Function); 5] {
    let of_all = |fold: fn(&[f64]) -> f64| {
        Function::new(move |argument| {
            let numbers = match argument {
                Value::Tuple(values) => values.iter().map(Value::as_number).collect::<Result<Vec<_>, _>>()?,
                one => vec![one.as_number()?],
            };
            Ok(Value::Float(fold(&numbers)))
        })
    };
    [
        ("abs", of_all(|numbers| numbers.first().map_or(f64::NAN, |number| number.abs()))),
        ("max", of_all(|numbers| numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max))),
        ("mean", of_all(|numbers| numbers.iter().sum::<f64>() / numbers.len() as f64)),
        ("min", of_all(|numbers| numbers.iter().copied().fold(f64::INFINITY, f64::min))),
        ("sqrt", of_all(|numbers| numbers.first().map_or(f64::NAN, |number| number.sqrt()))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_on_readings() {
        let readings = BTreeMap::from([("divider", 1.65), ("supply", 3.3), ("A0.volts", 2.0), ("zero", 0.0)]);
        let known: Vec<&str> = readings.keys().copied().collect();
        let rows: [(&str, Result<f64, &str>); 16] = [
            ("divider / supply", Ok(0.5)),
            ("supply - divider", Ok(1.65)),
            ("mean(divider, supply, 0)", Ok(1.65)),
            ("max(divider, supply)", Ok(3.3)),
            ("min(divider, supply)", Ok(1.65)),
            ("abs(divider - supply)", Ok(1.65)),
            ("sqrt(A0.volts * 2)", Ok(2.0)),
            ("1 / 2", Ok(0.5)),
            ("divider / zero", Ok(f64::INFINITY)),
            ("(divider", Err("cannot be calculated")),
            ("dividr * 2", Err("no reading before this is called `dividr`")),
            ("average(divider)", Err("there is no function `average`")),
            ("divider = 3", Err("cannot be calculated")),
            ("divider > 1", Err("cannot be calculated")),
            ("", Err("cannot be calculated")),
            ("\"a\"", Err("cannot be calculated")),
        ];
        for (text, expected) in rows {
            match (Expression::parse(text, &known), expected) {
                (Ok(expression), Ok(value)) => {
                    let is = expression.value(&readings).unwrap();
                    assert!(is == value || (is - value).abs() < 1e-12, "{text}: {is}");
                }
                (Err(problem), Err(part)) => assert!(problem.message.contains(part), "{text}: {}", problem.message),
                (Ok(_), Err(part)) => panic!("{text} is accepted, expected {part}"),
                (Err(problem), Ok(_)) => panic!("{text}: {}", problem.message),
            }
        }
    }
}
