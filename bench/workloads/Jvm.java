// SPDX-License-Identifier: BSD-3-Clause
// A JVM at work: an order book's collections, strings, records and number arrays; about 200 MiB.
import java.io.IOException;
import java.math.BigDecimal;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;

public class Jvm {
	record Trade(long id, String symbol, BigDecimal price, int quantity, Instant at) {}

	static final class Node {
		final int key;
		final double weight;
		final List<Node> next = new ArrayList<>(3);

		Node(int key, double weight) {
			this.key = key;
			this.weight = weight;
		}
	}

	static final Random random = new Random(20);

	static String symbol() {
		StringBuilder name = new StringBuilder();
		for (int i = 0; i < 4; i++)
			name.append((char)('A' + random.nextInt(26)));
		return name.toString();
	}

	static List<Trade> trades(int n) {
		String[] symbols = new String[500];
		for (int i = 0; i < symbols.length; i++)
			symbols[i] = symbol();
		List<Trade> trades = new ArrayList<>();
		for (int i = 0; i < n; i++)
			trades.add(new Trade(i, symbols[random.nextInt(symbols.length)],
					BigDecimal.valueOf(random.nextInt(1000000), 2), 1 + random.nextInt(500),
					Instant.ofEpochMilli(1600000000000L + random.nextInt())));
		return trades;
	}

	static List<Node> graph(int n) {
		List<Node> nodes = new ArrayList<>();
		for (int i = 0; i < n; i++)
			nodes.add(new Node(random.nextInt(), random.nextGaussian()));
		for (Node node : nodes)
			for (int i = 0; i < 3; i++)
				node.next.add(nodes.get(random.nextInt(n)));
		return nodes;
	}

	public static void main(String[] args) throws IOException {
		List<Trade> trades = trades(300000);
		Map<String, List<Trade>> bySymbol = new HashMap<>();
		TreeMap<Instant, Trade> byTime = new TreeMap<>();
		for (Trade trade : trades) {
			bySymbol.computeIfAbsent(trade.symbol(), s -> new ArrayList<>()).add(trade);
			byTime.put(trade.at(), trade);
		}
		Map<String, String> cache = new ConcurrentHashMap<>();
		for (int i = 0; i < 200000; i++)
			cache.put("session:" + random.nextInt(10000000), "{\"user\":" + i + ",\"desk\":\""
					+ symbol() + "\",\"limit\":" + random.nextInt(100000) + "}");
		ArrayDeque<byte[]> packets = new ArrayDeque<>();
		for (int i = 0; i < 40000; i++)
			packets.add(trades.get(i).toString().getBytes());
		double[] curve = new double[1000000];
		long[] volumes = new long[1000000];
		for (int i = 0; i < curve.length; i++) {
			curve[i] = 100 + 10 * Math.sin(i / 1e4) + random.nextGaussian();
			volumes[i] = random.nextInt(100000);
		}
		Object[] kept = {trades, bySymbol, byTime, cache, packets, curve, volumes, graph(400000)};

		System.out.println("ready");
		while (System.in.read() >= 0)
			;
		System.out.println(kept.length);
	}
}
