//! The workflows that others call, found as files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::{fs, io};

use flowcore::{
    CalledWorkflow, Diagnostics, NoWorkflow, Source, Workflow, WorkflowId, WorkflowSource, nearest,
    read_workflow,
};

use crate::source::STDIN;

/// The endings of workflow files.
const ENDINGS: [&str; 3] = ["json", "yaml", "yml"];

/// Where `flowcli` looks for the workflows that others call.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct WorkflowsArgs {
    /// A folder of workflows that others call by their id.
    #[arg(long, value_name = "DIR", env = "FLOW_WORKFLOWS")]
    workflows: Option<PathBuf>,
}

impl WorkflowsArgs {
    /// Whether a folder is named.
    pub(crate) fn is_given(&self) -> bool {
        self.workflows.is_some()
    }
}

/// Finds workflows by a file name relative to the file that calls them, and by id in a folder.
///
/// What has a dot or a slash is the name of a file, as no id has them.
pub(crate) struct WorkflowFiles {
    /// The workflow that everything begins with; it may call itself by its id.
    own: Source,
    own_workflow: OnceLock<Option<Workflow>>,
    /// The folder of that workflow.
    root: PathBuf,
    /// The folder in which ids are looked for.
    folder: Option<PathBuf>,
    /// Whether nothing outside of these two folders may be read.
    is_confined: bool,
    /// The ids in that folder and their files; read when the first is asked for.
    ids: OnceLock<Result<Vec<(String, PathBuf)>, String>>,
    /// What was found, by path: a thousand nodes may call the same workflow, and all get the same.
    found: Mutex<HashMap<PathBuf, Result<CalledWorkflow, NoWorkflow>>>,
}

impl WorkflowFiles {
    /// For this file of the command line.
    pub(crate) fn new(source: &Source, args: &WorkflowsArgs) -> Self {
        let file = source.name();
        let path = if file == STDIN { Path::new("") } else { Path::new(file) };
        let root = path.parent().map(Path::to_owned).unwrap_or_default();
        Self {
            own: source.clone(),
            own_workflow: OnceLock::new(),
            root,
            folder: args.workflows.clone(),
            is_confined: false,
            ids: OnceLock::new(),
            found: Mutex::default(),
        }
    }

    /// Reads nothing outside of the folder of the workflow and that of the ids.
    #[must_use]
    pub(crate) fn confined(mut self, is_confined: bool) -> Self {
        self.is_confined = is_confined;
        self
    }

    /// The file of a workflow, named relative to the one that calls it.
    fn file(&self, name: &str, from: Option<&str>) -> PathBuf {
        // The key of a workflow that calls itself by its id is no path.
        let caller = from.map(Path::new).filter(|path| path.is_absolute());
        caller.and_then(Path::parent).unwrap_or(&self.root).join(name)
    }

    /// The workflow that everything begins with, if it has this id.
    fn own(&self, id: &str) -> Option<CalledWorkflow> {
        let workflow = self.own_workflow.get_or_init(|| read_workflow(&self.own).0).clone()?;
        let is_meant = workflow.id.as_ref().is_some_and(|own| own.as_str() == id);
        is_meant.then(|| CalledWorkflow { key: id.to_owned(), workflow })
    }

    fn find_id(&self, id: &str) -> Result<PathBuf, String> {
        let Some(folder) = &self.folder else {
            let named = ENDINGS.iter().map(|ending| format!("{id}.{ending}"));
            let beside = named.clone().find(|name| self.root.join(name).is_file());
            return Err(match beside {
                Some(file) => format!("`{id}` is an id, not a file: did you mean `{file}`?"),
                None => "ids are looked for in the folder that `--workflows` names, and none is \
                         named"
                    .to_owned(),
            });
        };
        let named = ENDINGS.iter().map(|ending| folder.join(format!("{id}.{ending}")));
        if let Some(file) = named.into_iter().find(|file| file.is_file()) {
            return Ok(file);
        }
        let ids = self.ids.get_or_init(|| ids_of(folder)).as_ref().map_err(Clone::clone)?;
        let mut found = ids.iter().filter(|(other, _)| other == id).map(|(_, file)| file);
        match (found.next(), found.next()) {
            (Some(file), None) => Ok(file.clone()),
            (Some(one), Some(other)) => {
                Err(format!("both `{}` and `{}` have this id", show(one), show(other)))
            }
            (None, _) => {
                let near = nearest(id, ids.iter().map(|(id, _)| id.as_str()));
                let near =
                    near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
                Err(format!("no workflow in `{}` has this id{near}", show(folder)))
            }
        }
    }

    fn find_at(&self, path: PathBuf) -> Result<CalledWorkflow, NoWorkflow> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let read = |path: &PathBuf| self.read(path);
        found.entry(path).or_insert_with_key(read).clone()
    }

    fn read(&self, path: &Path) -> Result<CalledWorkflow, NoWorkflow> {
        let shown = show(path);
        let unreadable =
            |error: io::Error| NoWorkflow::NotFound(format!("cannot read `{shown}`: {error}"));
        let key = fs::canonicalize(path).map_err(unreadable)?;
        if self.is_confined && !self.is_inside(&key) {
            let message = format!("`{shown}` is outside of the folder of the workflow");
            return Err(NoWorkflow::NotFound(message));
        }
        let text = fs::read_to_string(&key).map_err(unreadable)?;
        let (workflow, found) = read_workflow(&Source::from_path_name(shown.clone(), text));
        let problem =
            first_problem(&found).map(|problem| format!("`{shown}` is invalid: {problem}"));
        match (workflow, problem) {
            (Some(workflow), None) => {
                Ok(CalledWorkflow { key: key.to_string_lossy().into_owned(), workflow })
            }
            (_, problem) => {
                let problem = problem.unwrap_or_else(|| format!("`{shown}` is no workflow"));
                Err(NoWorkflow::Invalid(problem))
            }
        }
    }

    fn is_inside(&self, key: &Path) -> bool {
        let root = Path::new(".").join(&self.root);
        let folders = [Some(&root), self.folder.as_ref()].into_iter().flatten();
        folders.filter_map(|folder| fs::canonicalize(folder).ok()).any(|f| key.starts_with(f))
    }
}

impl WorkflowSource for WorkflowFiles {
    fn find(&self, name: &str, from: Option<&str>) -> Result<CalledWorkflow, NoWorkflow> {
        if WorkflowId::new(name).is_err() {
            return self.find_at(self.file(name, from));
        }
        match self.own(name) {
            Some(own) => Ok(own),
            None => self.find_at(self.find_id(name).map_err(NoWorkflow::NotFound)?),
        }
    }
}

/// The first error of a file, with its place.
fn first_problem(found: &Diagnostics) -> Option<String> {
    let first = found.errors().next()?;
    let place = first.location.as_ref();
    let place = place.map(|at| format!(" at line {}, column {}", at.line, at.column));
    let more = found.errors().count() - 1;
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    Some(format!("{}{}{more}", first.message, place.unwrap_or_default()))
}

/// The ids of the workflows in a folder, and their files, in the order of the names of the files.
fn ids_of(folder: &Path) -> Result<Vec<(String, PathBuf)>, String> {
    let unreadable = |error: io::Error| format!("cannot read `{}`: {error}", show(folder));
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        if ending.is_some_and(|ending| ENDINGS.contains(&ending)) {
            files.push(path);
        }
    }
    files.sort();
    // What cannot be read has no id that anybody could mean.
    let id_of = |path: PathBuf| {
        let text = fs::read_to_string(&path).ok()?;
        let source = Source::from_path_name(show(&path), text);
        let id = read_workflow(&source).0.and_then(|workflow| workflow.id.clone())?;
        Some((id.to_string(), path))
    };
    Ok(files.into_iter().filter_map(id_of).collect())
}

/// A path as people write it: relative to the current folder, if it is inside of it.
fn show(path: &Path) -> String {
    let here = std::env::current_dir().and_then(fs::canonicalize);
    let inside = here.ok().and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned));
    inside.as_deref().unwrap_or(path).display().to_string()
}
