//! The report that build servers read.

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::report::{CaseReport, FileReport};

/// All files as a JUnit document.
pub(crate) fn document(files: &[FileReport]) -> Vec<u8> {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    write(&mut writer, files).expect("writing to memory does not fail");
    let mut text = writer.into_inner();
    text.push(b'\n');
    text
}

fn write(writer: &mut Writer<Vec<u8>>, files: &[FileReport]) -> std::io::Result<()> {
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let suites = writer.create_element("testsuites").with_attribute(("name", "flowcli test"));
    suites.write_inner_content(|writer| {
        files.iter().try_for_each(|file| write_suite(writer, file))
    })?;
    Ok(())
}

fn write_suite(writer: &mut Writer<Vec<u8>>, file: &FileReport) -> std::io::Result<()> {
    let failures = file.cases.iter().filter(|case| !case.passed).count().to_string();
    let problem = problem(file);
    let errors = usize::from(problem.is_some());
    let tests = (file.cases.len() + errors).to_string();
    let name = legal(&file.file);
    let suite = writer.create_element("testsuite").with_attributes([
        ("name", name.as_str()),
        ("tests", tests.as_str()),
        ("failures", failures.as_str()),
        ("errors", errors.to_string().as_str()),
    ]);
    suite.write_inner_content(|writer| {
        if let Some(problem) = problem {
            let case = writer.create_element("testcase");
            let case = case.with_attributes([("name", "the file"), ("classname", name.as_str())]);
            case.write_inner_content(|writer| write_reason(writer, "error", &problem))?;
        }
        file.cases.iter().try_for_each(|case| write_case(writer, &name, case))
    })?;
    Ok(())
}

/// Why no case of a file ran.
fn problem(file: &FileReport) -> Option<String> {
    let found = file.diagnostics.has_errors().then(|| file.diagnostics.to_string());
    file.error.clone().or(found)
}

fn write_case(writer: &mut Writer<Vec<u8>>, file: &str, case: &CaseReport) -> std::io::Result<()> {
    let (name, time) = (legal(&case.name), format!("{:.3}", case.took.as_secs_f64()));
    let attributes = [("name", name.as_str()), ("classname", file), ("time", time.as_str())];
    let element = writer.create_element("testcase").with_attributes(attributes);
    if case.passed {
        element.write_empty()?;
        return Ok(());
    }
    let line = |one: &super::difference::Difference| format!("{}: {}", one.at, one.message);
    let lines: Vec<String> = case.differences.iter().map(line).collect();
    element.write_inner_content(|writer| write_reason(writer, "failure", &lines.join("\n")))?;
    Ok(())
}

fn write_reason(writer: &mut Writer<Vec<u8>>, kind: &str, text: &str) -> std::io::Result<()> {
    let text = legal(text);
    let first = text.lines().next().unwrap_or_default();
    let element = writer.create_element(kind).with_attribute(("message", first));
    element.write_text_content(BytesText::new(&text))?;
    Ok(())
}

/// XML has no sign at all for most control characters.
fn legal(text: &str) -> String {
    let is_legal = |c: char| {
        matches!(c, '\t' | '\n' | '\r') || (c >= ' ' && !matches!(c, '\u{fffe}' | '\u{ffff}'))
    };
    text.chars().map(|c| if is_legal(c) { c } else { '\u{fffd}' }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::difference::Difference;
    use super::*;
    use flowcore::Diagnostics;
    use quick_xml::XmlVersion;
    use std::time::Duration;

    #[test]
    fn what_is_read_is_what_was_reported() {
        let case = |name: &str, differences: Vec<Difference>| CaseReport {
            name: name.to_owned(),
            passed: differences.is_empty(),
            duration: Duration::ZERO,
            took: Duration::from_millis(1234),
            differences,
        };
        let nasty = "a <b> & \"c\" 'd' ]]> \u{1b} é";
        let differences = vec![Difference::new("/outputs/x<y>", nasty), Difference::new("b", "c")];
        let files = [FileReport {
            file: "a&b.test.json".to_owned(),
            cases: vec![case("good \"one\"", Vec::new()), case(nasty, differences)],
            diagnostics: Diagnostics::new(),
            not_run: None,
            error: None,
        }];
        let text = String::from_utf8(document(&files)).unwrap();
        let mut reader = quick_xml::Reader::from_str(&text);
        let (mut open, mut seen) = (Vec::new(), String::new());
        loop {
            match reader.read_event().unwrap() {
                Event::Start(tag) => {
                    let name = tag.name().as_ref().to_owned();
                    for attribute in tag.attributes() {
                        let attribute = attribute.unwrap();
                        let key = attribute.key.as_ref().to_owned();
                        let value = attribute.normalized_value(XmlVersion::Implicit1_0).unwrap();
                        seen += &format!("{name}.{key}={value}\n");
                    }
                    open.push(name);
                }
                Event::Empty(tag) => {
                    for attribute in tag.attributes() {
                        let value = attribute
                            .unwrap()
                            .normalized_value(XmlVersion::Implicit1_0)
                            .unwrap()
                            .into_owned();
                        seen += &format!("empty {value}\n");
                    }
                }
                Event::End(_) => drop(open.pop().unwrap()),
                Event::Eof => break,
                _ => {}
            }
        }
        assert!(open.is_empty());
        let nasty = "a <b> & \"c\" 'd' ]]> \u{fffd} é";
        assert_eq!(
            seen,
            format!(
                "testsuites.name=flowcli test\n\
                 testsuite.name=a&b.test.json\ntestsuite.tests=2\ntestsuite.failures=1\n\
                 testsuite.errors=0\n\
                 empty good \"one\"\nempty a&b.test.json\nempty 1.234\n\
                 testcase.name={nasty}\ntestcase.classname=a&b.test.json\ntestcase.time=1.234\n\
                 failure.message=/outputs/x<y>: {nasty}\n"
            ),
            "{text}"
        );
    }
}
