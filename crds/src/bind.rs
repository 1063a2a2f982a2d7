//! FalcoRule → binding: scope, selector and mode in the words of the rule language, so that the engine needs to know of
//! none of them. A scope is a condition like any other: shared by all rules that have it, decided once for an event.

use saker_rules::binding::{Binding, Operator, Requirement};

use crate::{
    FalcoRuleSpec,
    falco_rule::Mode,
    scope::Scope,
    selector::{ContainerSelector, Selector},
};

/// The sources of events.
const SOURCES: [&str; 2] = ["syscall", "k8s_audit"];

impl FalcoRuleSpec {
    /// What sets the rules apart, for an object of this namespace and effective scope; nothing if they are rules like
    /// the default ones.
    pub fn binding(&self, namespace: &str, scope: Scope) -> Result<Option<Binding>, String> {
        let selector = self.selector.clone().unwrap_or_default();
        let binding = Binding {
            owner: (scope == Scope::Namespace).then(|| namespace.to_owned()),
            shadow: self.mode == Mode::Shadow,
            machines: selector
                .nodes
                .as_ref()
                .map(crate::selector::LabelSelector::requirements)
                .transpose()?
                .unwrap_or_default(),
            ..Binding::default()
        };
        let place = place(&selector)?;
        if binding == Binding::default() && place.is_none() {
            return Ok(None);
        }
        if scope == Scope::Namespace && selector.host {
            let advice =
                "processes of the host are in no namespace: use scope Cluster, where that is allowed";
            return Err(format!("selector.host needs scope Cluster: {advice}"));
        }
        let owner = binding.owner.as_deref();
        let conditions = SOURCES.iter().filter_map(|source| {
            Some(((*source).to_owned(), demands(source, owner, place.as_deref())?.join(" and ")))
        });
        Ok(Some(Binding { conditions: conditions.collect(), ..binding }))
    }
}

/// What the events of a source must meet; nothing if that cannot be said of them.
fn demands(source: &str, namespace: Option<&str>, place: Option<&str>) -> Option<Vec<String>> {
    let field = match (source, place) {
        ("syscall", _) => "k8s.ns.name",
        (_, None) => "ka.target.namespace",
        (_, Some(_)) => return None,
    };
    let of_namespace = namespace.map(|namespace| format!("{field} = \"{namespace}\""));
    Some(of_namespace.into_iter().chain(place.map(str::to_owned)).collect())
}

/// In which pods and containers, or whether outside of them.
fn place(selector: &Selector) -> Result<Option<String>, String> {
    let mut inside = Vec::new();
    if let Some(pods) = &selector.pods {
        inside.push("k8s.pod.name exists".to_owned());
        inside.extend(pods.requirements()?.iter().map(of_pod));
    }
    if let Some(containers) = &selector.containers {
        inside.push("container.id != host".to_owned());
        inside.extend(of_container(containers));
    }
    let inside = (!inside.is_empty()).then(|| inside.join(" and "));
    Ok(match (inside, selector.host) {
        (Some(inside), true) => Some(format!("(container.id = host or ({inside}))")),
        (None, true) => Some("container.id = host".to_owned()),
        (inside, false) => inside,
    })
}

fn of_pod(requirement: &Requirement) -> String {
    let Requirement { key, operator, values } = requirement;
    let field = format!("k8s.pod.label[{key}]");
    let values = quoted(values).join(", ");
    match operator {
        Operator::In => format!("{field} in ({values})"),
        Operator::NotIn => format!("not ({field} in ({values}))"),
        Operator::Exists => format!("{field} exists"),
        Operator::DoesNotExist => format!("not ({field} exists)"),
    }
}

fn of_container(containers: &ContainerSelector) -> impl Iterator<Item = String> + use<> {
    let any = |field: &str, patterns: &[String]| {
        let each: Vec<_> =
            quoted(patterns).into_iter().map(|pattern| format!("{field} glob {pattern}")).collect();
        (!each.is_empty()).then(|| format!("({})", each.join(" or ")))
    };
    let ContainerSelector { names, images } = containers;
    [any("container.name", names), any("container.image.repository", images)].into_iter().flatten()
}

/// The schema keeps quotes and backslashes out; what slipped through is no pattern either.
fn quoted(texts: &[String]) -> Vec<String> {
    texts.iter().map(|text| format!("\"{}\"", text.replace(['"', '\\'], ""))).collect()
}
