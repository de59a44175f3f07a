//! Rewriting a parsed filter, so that its values pass through a guard wherever it can go on without
//! end: in definitions, loops and arrays.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::ops::Math;
use jaq_core::path::{Part, Path};

/// The function that every value of a loop passes through. Nobody can write this name.
pub(super) const GUARD: &str = "!guard";
/// The same at the start of definitions that take filters.
pub(super) const GUARD_CALL: &str = "!guard_call";
/// Multiplication, with a look at the size of a repeated text first.
pub(super) const MULTIPLY: &str = "!multiply";
/// What `*=` multiplies with.
const FACTOR: &str = "$!factor";

/// A definition whose values pass through this guard on every call.
pub(super) fn guarded_definition<'s>(def: Def<&'s str>, guard: &'static str) -> Def<&'s str> {
    let body = then(Term::Call(guard, Vec::new()), guarded(def.body));
    Def { body, ..def }
}

/// A definition of the filter itself.
fn own_definition(def: Def<&str>) -> Def<&str> {
    let takes_filters = def.args.iter().any(|arg| !arg.starts_with('$'));
    guarded_definition(def, if takes_filters { GUARD_CALL } else { GUARD })
}

fn then<'s>(first: Term<&'s str>, second: Term<&'s str>) -> Term<&'s str> {
    Term::BinOp(Box::new(first), BinaryOp::Pipe(None), Box::new(second))
}

fn checked(term: Term<&str>) -> Term<&str> {
    then(term, Term::Call(GUARD, Vec::new()))
}

fn guarded_box(mut term: Box<Term<&str>>) -> Box<Term<&str>> {
    *term = guarded(std::mem::take(&mut *term));
    term
}

fn guarded_all(terms: Vec<Term<&str>>) -> Vec<Term<&str>> {
    terms.into_iter().map(guarded).collect()
}

/// Puts the guard into everything in a filter that can go on without end.
pub(super) fn guarded(term: Term<&str>) -> Term<&str> {
    match term {
        Term::Id | Term::Recurse | Term::Num(_) | Term::Break(_) | Term::Var(_) => term,
        Term::Str(format, parts) => {
            Term::Str(format, parts.into_iter().map(guarded_part).collect())
        }
        Term::Arr(items) => Term::Arr(items.map(|items| Box::new(checked(guarded(*items))))),
        Term::Obj(entries) => {
            let guarded = |(key, value): (_, Option<_>)| (guarded(key), value.map(guarded));
            Term::Obj(entries.into_iter().map(guarded).collect())
        }
        Term::Neg(term) => Term::Neg(guarded_box(term)),
        Term::BinOp(left, op, right) => guarded_operation(guarded(*left), op, guarded(*right)),
        Term::Label(name, term) => Term::Label(name, guarded_box(term)),
        Term::Fold(kind, items, pattern, args) => {
            let mut args = guarded_all(args);
            if let Some(update) = args.get_mut(1) {
                *update = checked(std::mem::take(update));
            }
            Term::Fold(kind, guarded_box(items), guarded_pattern(pattern), args)
        }
        Term::TryCatch(term, catch) => Term::TryCatch(guarded_box(term), catch.map(guarded_box)),
        Term::IfThenElse(branches, otherwise) => {
            let branches = branches.into_iter().map(|(when, then)| (guarded(when), guarded(then)));
            Term::IfThenElse(branches.collect(), otherwise.map(guarded_box))
        }
        Term::Def(defs, term) => {
            let defs = defs.into_iter().map(own_definition).collect();
            Term::Def(defs, guarded_box(term))
        }
        // The one that is a function; the others are defined by it.
        Term::Call("range", args) if args.len() == 3 => {
            checked(Term::Call("range", guarded_all(args)))
        }
        Term::Call(name, args) => Term::Call(name, guarded_all(args)),
        Term::Path(term, Path(parts)) => {
            let parts = parts.into_iter().map(|(part, opt)| (guarded_path(part), opt));
            Term::Path(guarded_box(term), Path(parts.collect()))
        }
    }
}

fn guarded_operation<'s>(
    left: Term<&'s str>,
    op: BinaryOp<&'s str>,
    right: Term<&'s str>,
) -> Term<&'s str> {
    let (left, right) = match op {
        BinaryOp::Math(Math::Mul) => return Term::Call(MULTIPLY, vec![left, right]),
        // `l *= r` is `r as $factor | l |= . * $factor`.
        BinaryOp::UpdateMath(Math::Mul) => {
            let product = Term::Call(MULTIPLY, vec![Term::Id, Term::Var(FACTOR)]);
            let update = Term::BinOp(Box::new(left), BinaryOp::Update, Box::new(product));
            let bind = BinaryOp::Pipe(Some(Pattern::Var(FACTOR)));
            return Term::BinOp(Box::new(right), bind, Box::new(update));
        }
        _ => (Box::new(left), Box::new(right)),
    };
    let op = match op {
        BinaryOp::Pipe(pattern) => BinaryOp::Pipe(pattern.map(guarded_pattern)),
        other => other,
    };
    Term::BinOp(left, op, right)
}

fn guarded_part<'s>(part: StrPart<&'s str, Term<&'s str>>) -> StrPart<&'s str, Term<&'s str>> {
    match part {
        StrPart::Term(term) => StrPart::Term(guarded(term)),
        other => other,
    }
}

fn guarded_path(part: Part<Term<&str>>) -> Part<Term<&str>> {
    match part {
        Part::Index(index) => Part::Index(guarded(index)),
        Part::Range(from, to) => Part::Range(from.map(guarded), to.map(guarded)),
    }
}

fn guarded_pattern(pattern: Pattern<&str>) -> Pattern<&str> {
    match pattern {
        Pattern::Var(name) => Pattern::Var(name),
        Pattern::Arr(items) => Pattern::Arr(items.into_iter().map(guarded_pattern).collect()),
        Pattern::Obj(entries) => {
            let guarded = |(key, value)| (guarded(key), guarded_pattern(value));
            Pattern::Obj(entries.into_iter().map(guarded).collect())
        }
    }
}
