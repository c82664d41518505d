//! The table of all connections of a listener, and the shares of their clients.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use ipnet::IpNet;

use super::connection::SharedState;
use super::{ConnectionLimit, ConnectionState};

/// Largest number of rejected heads that are remembered at a time; older ones are forgotten first.
const MAX_PENALTIES: usize = 65_536;

type Shares = Vec<(IpNet, u32)>;

#[derive(Default)]
pub(super) struct Table {
    next_id: u64,
    connections: HashMap<u64, Arc<SharedState>>,
    /// Connections and penalties of each network.
    clients: HashMap<IpNet, usize>,
    /// Shares of closed connections, each with the time when it is released.
    penalties: VecDeque<(u64, Shares)>,
}

impl Table {
    /// Adds a connection of a client, if neither the total nor one of its networks is at its limit.
    pub(super) fn admit(
        &mut self,
        networks: &[(IpNet, u32)],
        total: usize,
        per_client: usize,
    ) -> Result<(u64, Arc<SharedState>), ConnectionLimit> {
        let is_full = |(network, share): &(IpNet, u32)| {
            let used = self.clients.get(network).copied().unwrap_or(0);
            used >= per_client.saturating_mul(*share as usize)
        };
        if networks.iter().any(is_full) {
            return Err(ConnectionLimit::Client);
        }
        let has_room = self.make_room(total);
        if !has_room {
            return Err(ConnectionLimit::Total);
        }
        for (network, _) in networks {
            *self.clients.entry(*network).or_default() += 1;
        }
        let (id, shared) = (self.next_id, Arc::new(SharedState::new()));
        self.next_id += 1;
        self.connections.insert(id, Arc::clone(&shared));
        Ok((id, shared))
    }

    /// Closes connections so that one more fits; returns `false` if it does not fit.
    fn make_room(&mut self, total: usize) -> bool {
        let threshold = total - total / 5;
        let after = self.connections.len() + 1;
        if after <= threshold {
            return true;
        }
        if self.connections.len() > total + total / 8 {
            // Connections that make room are closed by their tasks, which are late.
            return false;
        }
        let states = || self.connections.values();
        let closing = states().filter(|it| it.is_closing()).count();
        let close_oldest = |state: ConnectionState, number: usize| {
            let mut waiting: Vec<&Arc<SharedState>> = states()
                .filter(|it| it.state() == state && !it.is_closing())
                .collect();
            waiting.sort_unstable_by_key(|it| it.since_ms());
            let closed = waiting.len().min(number);
            waiting[..closed].iter().for_each(|it| it.close());
            closed
        };
        let excess = (after - threshold).saturating_sub(closing);
        let remaining = after - closing - close_oldest(ConnectionState::Idle, excess);
        remaining <= total || close_oldest(ConnectionState::Head, remaining - total) > 0
    }

    /// Removes a connection. With a penalty, it stays in its client's share until then.
    pub(super) fn remove(&mut self, id: u64, networks: Shares, penalty_until_ms: Option<u64>) {
        self.connections.remove(&id);
        match penalty_until_ms {
            Some(until_ms) if !networks.is_empty() => {
                self.penalties.push_back((until_ms, networks));
                if self.penalties.len() > MAX_PENALTIES
                    && let Some((_, oldest)) = self.penalties.pop_front()
                {
                    self.release(&oldest);
                }
            }
            _ => self.release(&networks),
        }
    }

    fn release(&mut self, networks: &[(IpNet, u32)]) {
        for (network, _) in networks {
            if let Some(used) = self.clients.get_mut(network) {
                *used -= 1;
                if *used == 0 {
                    self.clients.remove(network);
                }
            }
        }
    }

    /// Closes the connections that have been in their state for longer than `time_limit_ms` allows, and releases the
    /// penalties that are over.
    pub(super) fn sweep(
        &mut self,
        now_ms: u64,
        time_limit_ms: impl Fn(ConnectionState) -> Option<u64>,
    ) {
        for connection in self.connections.values() {
            let since_ms = connection.since_ms();
            if let Some(limit_ms) = time_limit_ms(connection.state())
                && now_ms.saturating_sub(since_ms) >= limit_ms
            {
                connection.close();
            }
        }
        while let Some((until_ms, _)) = self.penalties.front()
            && *until_ms <= now_ms
        {
            if let Some((_, networks)) = self.penalties.pop_front() {
                self.release(&networks);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.connections.len()
    }

    pub(super) fn count(&self, state: ConnectionState) -> usize {
        let states = self.connections.values();
        states.filter(|it| it.state() == state).count()
    }

    /// Returns the number of connections in each state, in the order of [`ConnectionState::ALL`].
    pub(super) fn count_states(&self) -> [i64; ConnectionState::ALL.len()] {
        let mut counts = [0; ConnectionState::ALL.len()];
        for connection in self.connections.values() {
            counts[connection.state() as usize] += 1;
        }
        counts
    }
}
