//! Texts with places in them, as `spiffe://corp/{tenant}/agents/{actor}`: what stands in a place is taken out of a name, or
//! put into one. In doubt a text does not fit.

/// A text with places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Box<[Part]>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    /// A place with a name.
    Place(Box<str>),
    /// A place whose content does not matter: `*`.
    Any,
}

/// What stood in a place: its name, and the text.
pub(crate) type Bound = (Box<str>, Box<str>);

impl Template {
    /// Reads a template; `star` says whether `*` is a place, or the letter.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str, star: bool) -> Result<Self, String> {
        let mut parts: Vec<Part> = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}', '*']) {
            let (before, from) = rest.split_at_checked(at).unwrap_or((rest, ""));
            push_text(&mut parts, before);
            if let Some(behind) = from.strip_prefix('*') {
                match star {
                    true => place(&mut parts, Part::Any)?,
                    false => push_text(&mut parts, "*"),
                }
                rest = behind;
                continue;
            }
            let inside = from.strip_prefix('{').ok_or("`}` without `{`")?;
            let (name, behind) = inside.split_once('}').ok_or("`{` without `}`")?;
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'{') {
                return Err(format!("`{{{name}}}` is no name of a place"));
            }
            place(&mut parts, Part::Place(name.into()))?;
            rest = behind;
        }
        push_text(&mut parts, rest);
        Ok(Self(parts.into()))
    }

    /// Names of its places, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Place(name) => Some(&**name),
            Part::Text(_) | Part::Any => None,
        })
    }

    /// What stands in its places, when the whole of `text` fits. A place takes at least one character and no `/`, and ends
    /// where what follows it first comes.
    pub(crate) fn take(&self, text: &str) -> Option<Vec<Bound>> {
        let (mut rest, mut bound) = (text, Vec::new());
        let mut parts = self.0.iter().peekable();
        while let Some(part) = parts.next() {
            if let Part::Text(text) = part {
                rest = rest.strip_prefix(&**text)?;
                continue;
            }
            let length = match parts.peek() {
                Some(Part::Text(text)) => rest.find(&**text)?,
                _ => rest.len(),
            };
            let (taken, behind) = rest.split_at_checked(length)?;
            if taken.is_empty() || taken.contains('/') {
                return None;
            }
            if let Part::Place(name) = part {
                bound.push((name.clone(), taken.into()));
            }
            rest = behind;
        }
        rest.is_empty().then_some(bound)
    }

    /// The text with its places filled.
    ///
    /// # Errors
    /// The name of the first place for which there is nothing.
    pub(crate) fn fill(&self, value: &dyn Fn(&str) -> Option<Box<str>>) -> Result<Box<str>, &str> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(own) => text.push_str(own),
                Part::Place(name) => text.push_str(&value(name).ok_or(&**name)?),
                Part::Any => text.push('*'),
            }
        }
        Ok(text.into())
    }
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        _ if text.is_empty() => {}
        Some(Part::Text(before)) => *before = format!("{before}{text}").into(),
        _ => parts.push(Part::Text(text.into())),
    }
}

fn place(parts: &mut Vec<Part>, place: Part) -> Result<(), String> {
    if matches!(parts.last(), Some(Part::Place(_) | Part::Any)) {
        return Err("two places touch; nobody could say where one ends".to_owned());
    }
    if let Part::Place(name) = &place
        && parts.contains(&place)
    {
        return Err(format!("`{{{name}}}` stands in it twice"));
    }
    parts.push(place);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Template;

    fn taken(template: &str, text: &str) -> Option<String> {
        let bound = Template::parse(template, true).unwrap().take(text)?;
        Some(bound.iter().map(|(name, text)| format!("{name}={text} ")).collect::<String>().trim().into())
    }

    #[test]
    fn places_take_what_fits() {
        let agents = "spiffe://corp/{tenant}/agents/{actor}";
        assert_eq!(
            taken(agents, "spiffe://corp/acme/agents/seven").as_deref(),
            Some("tenant=acme actor=seven")
        );
        assert_eq!(taken("bot-{actor}.*.example", "bot-a-b.x.example").as_deref(), Some("actor=a-b"));
        assert_eq!(taken("{actor}", "ann").as_deref(), Some("actor=ann"));
        assert_eq!(taken("plain", "plain").as_deref(), Some(""));
        for text in [
            "spiffe://corp/acme/agents/",
            "spiffe://corp//agents/seven",
            "spiffe://corp/acme/agents/seven/more",
            "spiffe://corp/a/b/agents/seven",
            "spiffe://corp.example/acme/agents/seven",
            "SPIFFE://corp/acme/agents/seven",
            "",
        ] {
            assert_eq!(taken(agents, text), None, "{text}");
        }
    }

    #[test]
    fn places_are_filled() {
        let value = |name: &str| (name == "claim.team").then(|| "data".into());
        let fill = |text| Template::parse(text, false).unwrap().fill(&value).map_err(str::to_owned);
        assert_eq!(fill("t-{claim.team}*").as_deref(), Ok("t-data*"));
        assert_eq!(fill("{claim.x}"), Err("claim.x".to_owned()));
    }

    #[test]
    fn what_nobody_could_read_is_refused() {
        for (text, why) in [
            ("{a", "without `}`"),
            ("a}", "without `{`"),
            ("{}", "no name"),
            ("{a b}", "no name"),
            ("{a}{b}", "touch"),
            ("*{b}", "touch"),
            ("{a}-{a}", "twice"),
        ] {
            let error = Template::parse(text, true).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
