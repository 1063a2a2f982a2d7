//! Objects that this operator cannot read, for they are made for a newer one whose CRDs are installed still. One of
//! them must not hide all others from the watch, and its author must learn that it has no effect.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    future::ready,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{Stream, StreamExt as _};
use kube::{
    Api, Client, Resource,
    api::{ApiResource, DynamicObject, ObjectMeta, Patch, PatchParams},
    core::{DeserializeGuard, error_boundary::InvalidObject},
    runtime::watcher::{self, Event, watcher},
};
use saker_crds::status::condition;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::owner::MANAGER;

/// Bytes of a message.
const MAX_MESSAGE: usize = 1000;

/// Those that are there now.
#[derive(Debug, Clone, Default)]
pub struct Unreadable(Arc<Mutex<BTreeMap<Place, Found>>>);

/// Kind, namespace and name.
type Place = (String, String, String);

#[derive(Debug, Clone)]
struct Found {
    kind: ApiResource,
    object: InvalidObject,
    told: bool,
}

/// Every object of a kind that can be read. `bare` makes one that has gone from nothing but its metadata.
pub fn watch<K>(
    client: &Client,
    unreadable: &Unreadable,
    bare: fn(ObjectMeta) -> K,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send + use<K>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + Send + Sync + 'static,
{
    let unreadable = unreadable.clone();
    let events = watcher(Api::<DeserializeGuard<K>>::all(client.clone()), watcher::Config::default());
    events.filter_map(move |event| {
        ready(match event {
            Ok(event) => unreadable.sort_out(event, bare).map(Ok),
            Err(e) => Some(Err(e)),
        })
    })
}

impl Unreadable {
    /// An object that cannot be read any more counts as gone.
    fn sort_out<K: Resource<DynamicType = ()>>(
        &self,
        event: Event<DeserializeGuard<K>>,
        bare: fn(ObjectMeta) -> K,
    ) -> Option<Event<K>> {
        match event {
            Event::Init => {
                let kind = K::kind(&());
                self.lock().retain(|place, _| place.0 != kind);
                Some(Event::Init)
            }
            Event::InitDone => Some(Event::InitDone),
            Event::InitApply(guard) => self.note(guard).map(Event::InitApply).ok(),
            Event::Apply(guard) => {
                Some(self.note(guard).map_or_else(|metadata| Event::Delete(bare(*metadata)), Event::Apply))
            }
            Event::Delete(guard) => {
                let gone = guard.0.unwrap_or_else(|object| bare(object.metadata));
                self.lock().remove(&place::<K>(gone.meta()));
                Some(Event::Delete(gone))
            }
        }
    }

    /// The object, or the metadata of one that cannot be read.
    fn note<K: Resource<DynamicType = ()>>(&self, guard: DeserializeGuard<K>) -> Result<K, Box<ObjectMeta>> {
        let object = match guard.0 {
            Ok(object) => {
                self.lock().remove(&place::<K>(object.meta()));
                return Ok(object);
            }
            Err(object) => object,
        };
        let (metadata, place) = (object.metadata.clone(), place::<K>(&object.metadata));
        let mut all = self.lock();
        // What was written about it comes back as a change.
        let known = all.get(&place).filter(|found| version(&found.object) == version(&object));
        let told = known.is_some_and(|found| found.told);
        if known.is_none() {
            tracing::warn!("{} {}/{} is left out: {}", place.0, place.1, place.2, object.error);
        }
        all.insert(place, Found { kind: ApiResource::erase::<K>(&()), object, told });
        Err(Box::new(metadata))
    }

    /// Writes into the status of each, once, why it has no effect.
    pub async fn tell(&self, client: &Client) {
        let untold: Vec<_> = self
            .lock()
            .iter()
            .filter(|(_, found)| !found.told)
            .map(|(p, f)| (p.clone(), f.clone()))
            .collect();
        for (place, found) in untold {
            let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &place.1, &found.kind);
            let patch = Patch::Apply(status(&found));
            match api.patch_status(&place.2, &PatchParams::apply(MANAGER).force(), &patch).await {
                Ok(_) => self.lock().entry(place).and_modify(|found| found.told = true),
                Err(e) => {
                    tracing::warn!("cannot say that {} {}/{} is left out: {e}", place.0, place.1, place.2);
                    continue;
                }
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Place, Found>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place<K: Resource<DynamicType = ()>>(metadata: &ObjectMeta) -> Place {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    (K::kind(&()).into_owned(), text(&metadata.namespace), text(&metadata.name))
}

fn version(object: &InvalidObject) -> (Option<&String>, Option<i64>) {
    (object.metadata.uid.as_ref(), object.metadata.generation)
}

fn status(found: &Found) -> Value {
    let Found { kind, object, .. } = found;
    let message = format!(
        "this operator cannot read it: {}. Is it made for a newer one? Upgrade the operator",
        object.error
    );
    let message = &message[..message.floor_char_boundary(MAX_MESSAGE)];
    let condition = |type_: &str| {
        json!({
            "type": type_, "status": "False", "reason": "Unreadable", "message": message,
            "observedGeneration": object.metadata.generation, "lastTransitionTime": jiff::Timestamp::now(),
        })
    };
    let conditions = [condition::ACCEPTED, condition::DISTRIBUTED, condition::LOADED].map(condition);
    json!({
        "apiVersion": kind.api_version, "kind": kind.kind,
        "metadata": {"name": object.metadata.name, "uid": object.metadata.uid},
        "status": {"observedGeneration": object.metadata.generation, "conditions": conditions},
    })
}

#[cfg(test)]
mod tests {
    use saker_crds::{FalcoRule, FalcoRuleSpec};

    use super::*;

    fn bare(metadata: ObjectMeta) -> FalcoRule {
        FalcoRule { metadata, spec: FalcoRuleSpec::default(), status: None }
    }

    fn object(name: &str, generation: i64, priority: &str) -> DeserializeGuard<FalcoRule> {
        let rule = json!({"rule": "R", "desc": "d", "condition": "evt.type = open", "output": "o", "priority": priority});
        let metadata = json!({"name": name, "namespace": "ns", "uid": name, "generation": generation});
        let object = json!({"apiVersion": "saker.dev/v1alpha1", "kind": "FalcoRule", "metadata": metadata, "spec": {"rules": [rule]}});
        serde_json::from_value(object).unwrap()
    }

    /// What comes out: the event and the object's name.
    fn seen(unreadable: &Unreadable, event: Event<DeserializeGuard<FalcoRule>>) -> String {
        let name = |object: &FalcoRule| object.metadata.name.clone().unwrap_or_default();
        match unreadable.sort_out(event, bare) {
            Some(Event::Apply(object) | Event::InitApply(object)) => format!("there {}", name(&object)),
            Some(Event::Delete(object)) => format!("gone {}", name(&object)),
            Some(Event::Init | Event::InitDone) | None => String::new(),
        }
    }

    fn told(unreadable: &Unreadable) -> Vec<(String, bool)> {
        unreadable.lock().iter().map(|(place, found)| (place.2.clone(), found.told)).collect()
    }

    #[test]
    fn one_that_cannot_be_read_hides_no_other() {
        let unreadable = Unreadable::default();
        let events = [
            (Event::Init, ""),
            (Event::InitApply(object("good", 1, "Notice")), "there good"),
            (Event::InitApply(object("newer", 1, "Loud")), ""),
            (Event::InitDone, ""),
            (Event::Apply(object("good", 2, "Loud")), "gone good"),
            (Event::Apply(object("good", 3, "Notice")), "there good"),
        ];
        for (event, expected) in events {
            assert_eq!(seen(&unreadable, event), expected);
        }
        assert_eq!(told(&unreadable), [("newer".to_owned(), false)]);
        let said = status(unreadable.lock().values().next().unwrap());
        let message = said["status"]["conditions"][0]["message"].as_str().unwrap();
        assert!(message.contains("Loud") && message.contains("Upgrade the operator"), "{message}");
    }

    #[test]
    fn it_is_told_once_for_each_generation() {
        let unreadable = Unreadable::default();
        seen(&unreadable, Event::Apply(object("newer", 1, "Loud")));
        unreadable.lock().values_mut().for_each(|found| found.told = true);
        seen(&unreadable, Event::Apply(object("newer", 1, "Loud")));
        assert_eq!(told(&unreadable), [("newer".to_owned(), true)]);
        seen(&unreadable, Event::Apply(object("newer", 2, "Loud")));
        assert_eq!(told(&unreadable), [("newer".to_owned(), false)]);
        seen(&unreadable, Event::Delete(object("newer", 2, "Loud")));
        assert_eq!(told(&unreadable), []);
    }
}
