"""The cities of the weather service, and the weather it invents for them.

The places are real, the weather is made up: computed from the latitude, the
day and a hash of the city's name, so that each request for the same thing gets
the same answer, on each machine. Nothing in here waits or keeps state.
"""

import math
import zlib
from dataclasses import dataclass
from datetime import date, timedelta

FIRST_DAY = date(2026, 6, 21)  # "today" in the invented weather
MAX_DAYS = 7


@dataclass(frozen=True)
class City:
    """A place that the service knows."""

    name: str
    country: str
    latitude: float
    longitude: float

    def as_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "country": self.country,
            "latitude": self.latitude,
            "longitude": self.longitude,
        }


def chance(city: City, what: str) -> float:
    """A number from 0 up to 1 that depends on nothing but its arguments."""
    # Not hash(): for strings that differs from process to process.
    return zlib.crc32(f"{city.name}, {city.country}: {what}".encode()) / 2**32


def latency(city: City) -> float:
    """Seconds that the simulated upstream takes to answer for a city: 0.030 to 0.060."""
    return 0.030 + 0.030 * chance(city, "distance of the upstream")


def weather_on(city: City, day: date) -> dict[str, object]:
    """The weather of one day: temperatures in °C, rain in mm, and the sky in a word."""
    # Warm near the equator; a year's swing that grows with the latitude and is
    # turned round in the south; and something by chance for each day.
    season = math.cos(2 * math.pi * (day.timetuple().tm_yday - 200) / 365)
    north = math.copysign(1.0, city.latitude)
    away = abs(city.latitude) / 90
    mean = 29 - 48 * away**1.5 + 18 * away * season * north
    mean += 8 * (chance(city, f"warmth {day}") - 0.5)
    spread = 3 + 6 * chance(city, f"spread {day}")

    wetness = chance(city, f"clouds {day}")
    rain = round(30 * (wetness - 0.7), 1) if wetness > 0.7 else 0.0
    if rain:
        sky = "snow" if mean < 1 else "heavy rain" if rain > 5 else "rain"
    else:
        sky = "clear" if wetness < 0.3 else "fair" if wetness < 0.5 else "cloudy"
    return {
        "date": day.isoformat(),
        "temperature_max": round(mean + spread, 1),
        "temperature_min": round(mean - spread, 1),
        "precipitation": rain,
        "sky": sky,
    }


def forecast(city: City, days: int) -> list[dict[str, object]]:
    """The weather of the next days, today first."""
    return [weather_on(city, FIRST_DAY + timedelta(number)) for number in range(days)]


def nearest(latitude: float, longitude: float) -> City:
    """The city with the smallest angle to a place."""

    def cosine(city: City) -> float:
        there, here = math.radians(city.latitude), math.radians(latitude)
        between = math.radians(city.longitude - longitude)
        return math.sin(there) * math.sin(here) + (
            math.cos(there) * math.cos(here) * math.cos(between)
        )

    return max(CITIES, key=cosine)


def search(text: str, count: int) -> list[City]:
    """The cities whose name begins with a text, whatever the case, by name."""
    start = text.casefold()
    return [city for city in CITIES if city.name.casefold().startswith(start)][:count]


def by_name(name: str) -> City | None:
    """The city of exactly this name, whatever the case."""
    return _BY_NAME.get(name.casefold())


_TABLE = """
Accra, Ghana, 5.60, -0.19
Addis Ababa, Ethiopia, 9.03, 38.74
Algiers, Algeria, 36.75, 3.06
Amsterdam, Netherlands, 52.37, 4.90
Ankara, Turkey, 39.93, 32.86
Athens, Greece, 37.98, 23.73
Auckland, New Zealand, -36.85, 174.76
Baghdad, Iraq, 33.31, 44.37
Baku, Azerbaijan, 40.41, 49.87
Bangkok, Thailand, 13.76, 100.50
Barcelona, Spain, 41.39, 2.17
Beijing, China, 39.90, 116.41
Belgrade, Serbia, 44.79, 20.45
Berlin, Germany, 52.52, 13.41
Bogotá, Colombia, 4.71, -74.07
Boston, United States, 42.36, -71.06
Bratislava, Slovakia, 48.15, 17.11
Brisbane, Australia, -27.47, 153.03
Brussels, Belgium, 50.85, 4.35
Bucharest, Romania, 44.43, 26.10
Budapest, Hungary, 47.50, 19.04
Buenos Aires, Argentina, -34.60, -58.38
Cairo, Egypt, 30.04, 31.24
Cape Town, South Africa, -33.92, 18.42
Caracas, Venezuela, 10.48, -66.90
Casablanca, Morocco, 33.57, -7.59
Chicago, United States, 41.88, -87.63
Copenhagen, Denmark, 55.68, 12.57
Dakar, Senegal, 14.72, -17.47
Dar es Salaam, Tanzania, -6.79, 39.21
Delhi, India, 28.61, 77.21
Denver, United States, 39.74, -104.99
Dhaka, Bangladesh, 23.81, 90.41
Dubai, United Arab Emirates, 25.20, 55.27
Dublin, Ireland, 53.35, -6.26
Edinburgh, United Kingdom, 55.95, -3.19
Florence, Italy, 43.77, 11.26
Geneva, Switzerland, 46.20, 6.14
Hamburg, Germany, 53.55, 9.99
Hanoi, Vietnam, 21.03, 105.85
Havana, Cuba, 23.11, -82.37
Helsinki, Finland, 60.17, 24.94
Hong Kong, China, 22.32, 114.17
Honolulu, United States, 21.31, -157.86
Istanbul, Turkey, 41.01, 28.98
Jakarta, Indonesia, -6.21, 106.85
Jerusalem, Israel, 31.77, 35.21
Johannesburg, South Africa, -26.20, 28.05
Kathmandu, Nepal, 27.72, 85.32
Kinshasa, DR Congo, -4.44, 15.27
Kyiv, Ukraine, 50.45, 30.52
Lagos, Nigeria, 6.52, 3.38
Lima, Peru, -12.05, -77.04
Lisbon, Portugal, 38.72, -9.14
Ljubljana, Slovenia, 46.06, 14.51
London, United Kingdom, 51.51, -0.13
Los Angeles, United States, 34.05, -118.24
Luxembourg, Luxembourg, 49.61, 6.13
Lyon, France, 45.76, 4.84
Madrid, Spain, 40.42, -3.70
Manila, Philippines, 14.60, 120.98
Marseille, France, 43.30, 5.37
Melbourne, Australia, -37.81, 144.96
Mexico City, Mexico, 19.43, -99.13
Miami, United States, 25.76, -80.19
Milan, Italy, 45.46, 9.19
Montevideo, Uruguay, -34.90, -56.16
Montreal, Canada, 45.50, -73.57
Mumbai, India, 19.08, 72.88
Munich, Germany, 48.14, 11.58
Nairobi, Kenya, -1.29, 36.82
Naples, Italy, 40.85, 14.27
New York, United States, 40.71, -74.01
Nuuk, Greenland, 64.18, -51.72
Osaka, Japan, 34.69, 135.50
Oslo, Norway, 59.91, 10.75
Ottawa, Canada, 45.42, -75.70
Paris, France, 48.86, 2.35
Porto, Portugal, 41.15, -8.61
Prague, Czechia, 50.08, 14.44
Quito, Ecuador, -0.18, -78.47
Reykjavík, Iceland, 64.15, -21.94
Riga, Latvia, 56.95, 24.11
Rio de Janeiro, Brazil, -22.91, -43.17
Rome, Italy, 41.90, 12.50
San Francisco, United States, 37.77, -122.42
Santiago, Chile, -33.45, -70.67
São Paulo, Brazil, -23.55, -46.63
Seoul, South Korea, 37.57, 126.98
Singapore, Singapore, 1.35, 103.82
Sofia, Bulgaria, 42.70, 23.32
Stockholm, Sweden, 59.33, 18.07
Sydney, Australia, -33.87, 151.21
Tallinn, Estonia, 59.44, 24.75
Tbilisi, Georgia, 41.72, 44.79
Tokyo, Japan, 35.68, 139.69
Toronto, Canada, 43.65, -79.38
Tromsø, Norway, 69.65, 18.96
Tunis, Tunisia, 36.81, 10.18
Ushuaia, Argentina, -54.80, -68.30
Vancouver, Canada, 49.28, -123.12
Vienna, Austria, 48.21, 16.37
Warsaw, Poland, 52.23, 21.01
Wellington, New Zealand, -41.29, 174.78
Zagreb, Croatia, 45.82, 15.98
Zurich, Switzerland, 47.38, 8.54
"""


def _read_table() -> list[City]:
    cities = []
    for line in _TABLE.strip().splitlines():
        name, country, latitude, longitude = line.split(", ")
        cities.append(City(name, country, float(latitude), float(longitude)))
    return cities


CITIES = _read_table()
_BY_NAME = {city.name.casefold(): city for city in CITIES}
