//! Greets the user by name and counts the people they know; in an image or as a
//! module under Consentry.
use consentry::{give_back, grants, kinds, request, Error, Item, Question};
use std::process::exit;

fn ask() -> Result<(), Error> {
    let answer = request(
        &Question::new("to greet you and to count your friends")
            .item(Item::new("identity").fields(&["name", "email?"]))
            .item(Item::new("contacts").fields(&["name"]).max(100)),
    )?;
    let (me, people) = (&answer.items[0], &answer.items[1]);
    println!("hello {} withheld {}", me.values.text("name").unwrap_or("stranger"), me.withheld.join(","));
    println!("{} {}", people.status, people.records.len());
    let given = grants()?;
    let mut names: Vec<&str> = given.iter().filter_map(|g| g.text("kind")).collect();
    names.sort_unstable();
    println!("grants {}", names.join(" "));
    for item in &answer.items {
        if let Some(grant) = &item.grant {
            give_back(grant)?;
        }
    }
    println!("after {} kinds {}", grants()?.len(), kinds()?.len());
    Ok(())
}

fn main() {
    if let Err(e) = ask() {
        eprintln!("{} {}", if e.denied() { "no:" } else { "later:" }, e.code);
        exit(if e.denied() { 1 } else { 75 });
    }
}
