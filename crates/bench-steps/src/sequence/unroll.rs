//! Loops of a sequence: a list without them, each action once for each value.

use bench_plan::{Node, ParamProblem, Tree, nearest_help};

/// Most actions of one step.
const MOST: usize = 10_000;

/// Repeats what is in loops.
///
/// # Errors
/// A loop that is not one, or too many actions.
pub(super) fn unroll(nodes: &[Node]) -> Result<Vec<Node>, ParamProblem> {
    let mut flat = Vec::new();
    add(nodes, &mut flat)?;
    Ok(flat)
}

fn add(nodes: &[Node], flat: &mut Vec<Node>) -> Result<(), ParamProblem> {
    for node in nodes {
        let Some(turns) = turns(node)? else {
            if flat.len() >= MOST {
                return Err(ParamProblem::new(format!("more than {MOST} actions"))
                    .at(node.span.clone(), "from here on")
                    .help("loops are repeated when the plan is checked; write fewer values"));
            }
            flat.push(node.clone());
            continue;
        };
        for (name, value, body) in turns {
            let body: Vec<Node> = body.iter().map(|node| node.with(&name, &value)).collect();
            add(&body, flat)?;
        }
    }
    Ok(())
}

/// Name, value and actions of each turn of a loop; `None` for an action.
type Turns = Option<Vec<(String, String, Vec<Node>)>>;

fn turns(node: &Node) -> Result<Turns, ParamProblem> {
    let Tree::Table(entries) = &node.value else { return Ok(None) };
    let get = |wanted: &str| entries.iter().find(|(key, _)| key.get_ref() == wanted).map(|(_, value)| value);
    let Some(variable) = get("for") else { return Ok(None) };
    let problem = |at: &Node, text: &str| {
        ParamProblem::new(text.to_owned())
            .at(at.span.clone(), "here")
            .help("expected { for = \"pin\", in = [\"A0\", \"A1\"], do = [ { read = \"{pin}\" } ] }")
    };
    if let Some((key, _)) = entries.iter().find(|(key, _)| !["for", "in", "do"].contains(&key.get_ref().as_str())) {
        return Err(ParamProblem::new(format!("a loop has no key `{}`", key.get_ref()))
            .at(key.span(), "no such key")
            .help(nearest_help(key.get_ref(), ["for", "in", "do"].into_iter(), "keys")));
    }
    let Tree::Text(name) = &variable.value else { return Err(problem(variable, "the name of a loop is a text")) };
    let Some(Node { value: Tree::List(values), .. }) = get("in") else {
        return Err(problem(node, "a loop without a list of values"));
    };
    let Some(Node { value: Tree::List(body), .. }) = get("do") else {
        return Err(problem(node, "a loop without a list of actions"));
    };
    if values.is_empty() || body.is_empty() {
        return Err(problem(node, "this loop does nothing"));
    }
    let text = |value: &Node| match &value.value {
        Tree::Text(text) => Ok(text.clone()),
        Tree::Integer(number) => Ok(number.to_string()),
        Tree::Float(number) => Ok(number.to_string()),
        _ => Err(problem(value, "a value of a loop is a text or a number")),
    };
    let turn = |value: &Node| Ok((name.clone(), text(value)?, body.clone()));
    values.iter().map(turn).collect::<Result<_, _>>().map(Some)
}
