//! The command line.

/// What to run, and how often.
pub struct Options {
    /// Tiny workloads, once each: to see that everything works.
    pub quick: bool,
    /// How many rounds.
    pub runs: usize,
    /// Only these sections; empty is all of them.
    pub only: Vec<String>,
    /// Where the figures go as JSON.
    pub json: Option<String>,
    /// The folder that stores are made in; that for temporary files unless said otherwise.
    pub store_dir: Option<String>,
    /// Run one row of one workload, this often, and print what it took: what this program starts
    /// for heavy rows, and what profilers are pointed at.
    pub child: Option<(String, String, usize)>,
}

/// What `--only` can name.
const SECTIONS: [&str; 15] = [
    "chain", "fan", "layered", "million", "diamonds", "sleep", "large", "cpu", "each", "messages",
    "io", "load", "cli", "durable", "postgres",
];

/// What is printed when the command line is wrong.
pub const HELP: &str = "\
flow-bench: Flow, its limits and its peers, side by side

  --quick           tiny workloads, once each: to see that everything works
  --runs N          rounds per workload (7)
  --only A,B        only these: chain fan layered million diamonds sleep large cpu each messages
                    io load cli durable postgres
  --json FILE       the figures as JSON
  --store-dir DIR   where the stores of `durable` are made; the folder for temporary files
  --child WORKLOAD ROW N
                    one row of one workload, N times, for profilers

Built with `--features peers`, peers run beside it, with `--features dataflow`, dataflow-rs;
with `--features durable`, executions are kept, too, with `--features postgres` also in PostgreSQL;
with `--features memory`, a counting allocator is in place, so memory is all that is measured.";

impl Options {
    /// Reads the command line.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            quick: false,
            runs: 7,
            only: Vec::new(),
            json: None,
            store_dir: None,
            child: None,
        };
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--quick" => options.quick = true,
                "--runs" => options.runs = number(&value()?)?,
                "--only" => {
                    for section in value()?.split(',') {
                        if !SECTIONS.contains(&section) {
                            return Err(format!("there is no section {section}"));
                        }
                        if section == "durable" && !cfg!(feature = "durable") {
                            return Err("durable needs `--features durable`".to_owned());
                        }
                        if section == "postgres" && !cfg!(feature = "postgres") {
                            return Err("postgres needs `--features postgres`".to_owned());
                        }
                        options.only.push(section.to_owned());
                    }
                }
                "--json" => options.json = Some(value()?),
                "--store-dir" => options.store_dir = Some(value()?),
                "--child" => options.child = Some((value()?, value()?, number(&value()?)?)),
                _ => return Err(format!("there is no option {arg}")),
            }
        }
        if options.quick {
            options.runs = 1;
        }
        Ok(options)
    }

    /// Whether a section is to run.
    pub fn wants(&self, section: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == section)
    }
}

fn number(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|&number| number > 0);
    number.ok_or_else(|| format!("`{text}` is not a positive number"))
}
