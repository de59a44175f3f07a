//! What the server is told to do instead of serving; other servers of the store may run meanwhile.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use flowstore::{Access, Home, Keyring, SealingKey, StoreUrl};

use crate::args::{Args, AuditCommand, Command, SecretsCommand};
use crate::audit;
use crate::secrets::{KeyError, key_file, load_key};
use crate::server::{Failure, say, store_url};

pub(crate) async fn run(command: &Command, args: &Args) -> Result<ExitCode, Failure> {
    match command {
        Command::Audit(AuditCommand::Verify) => verify(args).await,
        Command::Secrets(SecretsCommand::RotateKey { new_key }) => {
            rotate(args, new_key.as_deref()).await.map(|()| ExitCode::SUCCESS)
        }
    }
}

/// Opens a store that is there.
async fn visit(url: &StoreUrl) -> Result<Arc<dyn Home>, Failure> {
    if let StoreUrl::Sqlite(path) = url
        && !path.exists()
    {
        return Err(Failure::Config(format!("there is no store `{}`", path.display())));
    }
    Ok(flowstore::open_home(url, Access::Visit).await?)
}

async fn verify(args: &Args) -> Result<ExitCode, Failure> {
    let home = visit(&store_url(args)?).await?;
    let check = home.verify_audit().await?;
    let (chains, rows) = (check.chains, check.rows);
    match check.broken {
        None => {
            told(&format!("the audit log is whole: {rows} entries in {chains} chains"));
            Ok(ExitCode::SUCCESS)
        }
        Some(broken) => {
            say(&format!(
                "error: the audit log was changed: entry {} of chain {} is missing, or is not what \
                 was written; {rows} entries before it are whole",
                broken.number, broken.chain
            ));
            Ok(ExitCode::from(1))
        }
    }
}

async fn rotate(args: &Args, new_key: Option<&Path>) -> Result<(), Failure> {
    let url = store_url(args)?;
    let named = args.sealing_key.as_deref();
    let Some(file) = key_file(&url, named) else {
        let text = "name the key of the database with `--sealing-key FILE`";
        return Err(Failure::Config(text.to_owned()));
    };
    let home = visit(&url).await?;
    let old = load_key(&file)?;
    match (new_key, named) {
        (Some(path), _) => {
            change(&*home, &file, &old, &load_key(path)?).await?;
            let path = path.display();
            told(&format!("the key is another one; start servers with `--sealing-key {path}`"));
        }
        (None, Some(_)) => {
            let text = "name the new key, too: `--new-key FILE`; to make one, `(umask 077; head -c \
                        32 /dev/urandom > FILE)`";
            return Err(Failure::Config(text.to_owned()));
        }
        (None, None) => {
            // What was cut off is done to its end by the next call: the new key is there before it
            // counts, and is in its place after that.
            let draft = file.with_extension("key.new");
            SealingKey::open(&draft)?;
            change(&*home, &file, &old, &load_key(&draft)?).await?;
            let failed = |error| Failure::Io { what: format!("{}", file.display()), error };
            std::fs::rename(&draft, &file).map_err(failed)?;
            sync_folder(&file).map_err(failed)?;
            told(&format!("the key in {} is another one", file.display()));
        }
    }
    Ok(())
}

async fn change(
    home: &dyn Home,
    file: &Path,
    old: &SealingKey,
    new: &SealingKey,
) -> Result<(), Failure> {
    let failed = |error| Failure::from(KeyError::of(error, Some(file)));
    // Nothing but the record says so when the key was changed already.
    let keyring = match Keyring::find(home, Some(new)).await {
        Ok(keyring) => keyring,
        Err(_) => Keyring::find(home, Some(old)).await.map_err(failed)?,
    };
    let Some(keyring) = keyring else {
        let text = "the store has nothing that is sealed yet: a server makes that when it starts";
        return Err(Failure::Config(text.to_owned()));
    };
    let entry = audit::own_entry("sealing-key.rotate", keyring.id());
    Keyring::change_master(home, old, new, entry).await.map_err(failed)
}

/// So that the new name is there after the machine stops.
fn sync_folder(file: &Path) -> io::Result<()> {
    match file.parent() {
        Some(folder) => std::fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn told(text: &str) {
    // Nobody is there to be told.
    let _ = writeln!(io::stdout(), "{text}");
}
